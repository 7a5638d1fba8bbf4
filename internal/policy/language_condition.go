package policy

import (
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
)

// compiledCondition is one with its program. Beside the program's instructions, a thread
// can be at the beginning, in what is cut off, or everywhere.
type compiledCondition struct {
	prog     *syntax.Prog
	anchored bool // at the beginning of the text
	words    bool
	cut      []rune
	view     view
	first    []uint32 // where it is after what is put before
	slashed  []uint32 // where it is after the slash that Caddy puts before what is left
	previous rune     // the last letter of what is put before
	always   bool     // what is put before is enough
}

func compile(c condition) (*compiledCondition, error) {
	parsed, err := syntax.Parse(c.expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	p := &compiledCondition{prog: prog, cut: []rune(c.seen.cut), view: c.seen, previous: edgeOfText}
	p.anchored = p.beginsText()
	p.words = slices.ContainsFunc(prog.Inst, func(i syntax.Inst) bool {
		return i.Op == syntax.InstEmptyWidth && syntax.EmptyOp(i.Arg)&(syntax.EmptyWordBoundary|syntax.EmptyNoWordBoundary) != 0
	})
	start := []uint32{uint32(prog.Start)}
	if !p.anchored {
		start = append(start, p.everywhere())
	}
	p.slashed, _ = p.move(start, edgeOfText, '/')
	p.first = start
	for _, r := range c.seen.before {
		var held bool
		p.first, held = p.move(p.first, p.previous, r)
		p.always, p.previous = p.always || held, r
	}
	return p, nil
}

// beginsText says whether there is no way into the program but at the beginning of the text.
func (p *compiledCondition) beginsText() bool {
	return !slices.ContainsFunc(p.closure([]uint32{uint32(p.prog.Start)}, ^syntax.EmptyBeginText), func(at uint32) bool {
		switch p.prog.Inst[at].Op {
		case syntax.InstMatch, syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			return true
		default:
			return false
		}
	})
}

// The places beside the program's.
func (p *compiledCondition) everywhere() uint32       { return uint32(len(p.prog.Inst)) }
func (p *compiledCondition) beginning() uint32        { return uint32(len(p.prog.Inst)) + 1 }
func (p *compiledCondition) cutting(n int) uint32     { return uint32(len(p.prog.Inst)) + 2 + uint32(n) }
func (p *compiledCondition) isCutting(at uint32) bool { return at > p.beginning() }

func (p *compiledCondition) begin(n int) []thread {
	if len(p.cut) > 0 {
		return []thread{{n, p.cutting(0)}}
	}
	return []thread{{n, p.beginning()}}
}

// feed gives where the threads of a condition are after a letter, and whether it holds
// for good.
func (p *compiledCondition) feed(n int, threads []thread, previous, r rune) (next []thread, held bool) {
	var places []uint32
	for _, t := range threads {
		switch {
		case p.isCutting(t.at):
			done := int(t.at - p.cutting(0))
			if !sameFolded(p.cut[done], r) {
				continue
			}
			if done+1 < len(p.cut) {
				next = append(next, thread{n, p.cutting(done + 1)})
			} else {
				next = append(next, thread{n, p.beginning()})
			}
		case t.at == p.beginning():
			from, before := p.from(r)
			moved, holds := p.move(from, before, r)
			places, held = append(places, moved...), held || holds || p.always
		default:
			moved, holds := p.move([]uint32{t.at}, previous, r)
			places, held = append(places, moved...), held || holds
		}
	}
	if held {
		return nil, true
	}
	for _, at := range places {
		next = append(next, thread{n, at})
	}
	return next, false
}

// from is where it is at the beginning of what is left, in front of a letter.
func (p *compiledCondition) from(r rune) (places []uint32, previous rune) {
	if len(p.cut) > 0 && p.view.before == "" && r != '/' {
		return p.slashed, '/'
	}
	return p.first, p.previous
}

func sameFolded(a, b rune) bool { return unicode.ToLower(a) == unicode.ToLower(b) }

// move gives the places after a letter, and whether something was found before it.
func (p *compiledCondition) move(places []uint32, previous, r rune) (next []uint32, found bool) {
	for _, at := range p.closure(places, syntax.EmptyOpContext(previous, r)) {
		i := p.instruction(at)
		switch {
		case at == p.everywhere():
			next = append(next, at)
		case i.Op == syntax.InstMatch:
			return nil, true
		case i.MatchRune(r):
			next = append(next, i.Out)
		}
	}
	return next, p.finds(next, 0)
}

// finds says whether something is found between the two letters.
func (p *compiledCondition) finds(places []uint32, between syntax.EmptyOp) bool {
	return slices.ContainsFunc(p.closure(places, between), func(at uint32) bool { return p.instruction(at).Op == syntax.InstMatch })
}

func (p *compiledCondition) instruction(at uint32) *syntax.Inst {
	if at >= p.everywhere() {
		return &syntax.Inst{Op: syntax.InstFail}
	}
	return &p.prog.Inst[at]
}

// closure follows what consumes no letter, where it holds between the two letters.
func (p *compiledCondition) closure(places []uint32, between syntax.EmptyOp) []uint32 {
	seen := make([]uint32, 0, len(places)+4)
	stack := slices.Clone(places)
	for len(stack) > 0 {
		at := stack[len(stack)-1]
		if stack = stack[:len(stack)-1]; slices.Contains(seen, at) {
			continue
		}
		seen = append(seen, at)
		if at == p.everywhere() {
			stack = append(stack, uint32(p.prog.Start))
			continue
		}
		switch i := p.instruction(at); i.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			stack = append(stack, i.Out, i.Arg)
		case syntax.InstCapture, syntax.InstNop:
			stack = append(stack, i.Out)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(i.Arg)&^between == 0 {
				stack = append(stack, i.Out)
			}
		}
	}
	return seen
}

// accepts says whether the condition holds where the text ends here, with or without a
// slash that would be there twice.
func (p *compiledCondition) accepts(threads []thread, previous rune, slash bool) bool {
	var places []uint32
	for _, t := range threads {
		switch {
		case p.isCutting(t.at):
		case t.at == p.beginning():
			if p.always {
				return true
			}
			if places, previous = p.first, p.previous; len(p.cut) > 0 && p.view.before == "" {
				places, previous = p.slashed, '/' // nothing is left, which Caddy makes a slash
			}
		default:
			places = append(places, t.at)
		}
	}
	after := p.view.after
	if slash {
		after = strings.TrimPrefix(after, "/")
	}
	for _, r := range after {
		var found bool
		if places, found = p.move(places, previous, r); found {
			return true
		}
		previous = r
	}
	return p.finds(places, syntax.EmptyOpContext(previous, edgeOfText))
}

// ranges tells the letters that a thread tells from others.
func (p *compiledCondition) ranges(t thread, cut func(low, high rune)) {
	if p.isCutting(t.at) {
		r := p.cut[t.at-p.cutting(0)]
		cut(unicode.ToLower(r), unicode.ToLower(r))
		cut(unicode.ToUpper(r), unicode.ToUpper(r))
		return
	}
	places := []uint32{t.at}
	if t.at == p.beginning() {
		if places = p.first; len(p.cut) > 0 {
			places = slices.Concat(p.first, p.slashed)
			cut('/', '/')
		}
	}
	for _, at := range p.closure(places, ^syntax.EmptyOp(0)) {
		switch i := p.instruction(at); i.Op {
		case syntax.InstRune, syntax.InstRune1:
			letterRanges(i.Rune, syntax.Flags(i.Arg)&syntax.FoldCase != 0, cut)
		case syntax.InstRuneAnyNotNL:
			cut('\n', '\n')
		}
	}
}

func letterRanges(runes []rune, fold bool, cut func(low, high rune)) {
	if len(runes) == 1 {
		cut(runes[0], runes[0])
		for r := unicode.SimpleFold(runes[0]); fold && r != runes[0]; r = unicode.SimpleFold(r) {
			cut(r, r)
		}
		return
	}
	for n := 0; n+1 < len(runes); n += 2 {
		cut(runes[n], runes[n+1])
	}
}

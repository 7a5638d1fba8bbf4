package policy

import (
	"cmp"
	"context"
	"encoding/binary"
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"
)

// condition is what a matcher asks of a text: that a regular expression finds something in it.
type condition struct {
	expr string
	seen view
}

// view is what handlers before a matcher have made of a path: something is cut off its
// beginning, and then other texts are put around what is left.
type view struct {
	cut, before, after string
	same               bool // or the same of every path
	lost               bool // or what is not followed back
	lostQuery          bool // and of the query
	lostMethod         bool // and of the method
}

// letters are what texts are made of.
type letters struct {
	allowed func(rune) bool
	path    bool // and that they begin with a slash, and are clean
	inner   bool // and that no blank is at either end
	escaped bool // others can be escaped: they stand where no allowed one can
}

// textsOf gives a short text for each way in which the conditions can hold and not hold
// together. It goes through the beginnings of texts that the expressions can tell apart,
// all at once, as one automaton would. It is not whole where that takes more than so much
// work, of which it says how much is left, or longer than the context goes on.
func textsOf(ctx context.Context, conditions []condition, l letters, work int) (all []string, whole bool, left int) {
	m := &machine{letters: l}
	for _, c := range conditions {
		if compiled, err := compile(c); err == nil {
			m.words = m.words || compiled.words
			m.begin.threads = append(m.begin.threads, compiled.begin(len(m.all))...)
			m.all = append(m.all, compiled)
		}
	}
	m.begin.before, m.begin.segment = edgeOfText, segmentNone
	all, whole, left = m.explore(ctx, work)
	return all, whole && len(m.all) == len(conditions), left
}

// machine runs all expressions at once.
type machine struct {
	letters
	all   []*compiledCondition
	words bool // one of them looks at the ends of words
	begin state
}

// state is where they are after a beginning of a text.
type state struct {
	threads []thread
	held    []int // conditions that hold whatever follows
	before  rune  // the last letter, as far as an expression can look back at it
	segment byte  // of a path
	text    string
}

// thread is a condition and an instruction of its program, or one of those that follow them.
type thread struct {
	condition int
	at        uint32
}

// edgeOfText stands for no letter, as in regexp/syntax.
const edgeOfText = -1

const (
	segmentNone byte = iota // nothing yet
	segmentEmpty
	segmentDot
	segmentDots
	segmentOther
	segmentBlank // the last letter of a text that may not end with it
)

func isBlank(r rune) bool { return r == ' ' || r == '\t' }

// canEnd says whether the text may be what it is.
func (m *machine) canEnd(s state) bool {
	switch s.segment {
	case segmentNone:
		return !m.path
	case segmentDot, segmentDots, segmentBlank:
		return false
	default:
		return true
	}
}

// explore goes through the states by how many conditions hold for good, and by length: what
// is cut off are texts of many.
func (m *machine) explore(ctx context.Context, work int) (all []string, whole bool, left int) {
	known, shown := make(map[string]bool), make(map[string]bool)
	queues := [][]state{{m.begin}}
	cut := false
	for level := 0; level < len(queues); level++ {
		for n := 0; n < len(queues[level]); n++ {
			if ctx.Err() != nil {
				return all, false, work
			}
			s := queues[level][n]
			if m.canEnd(s) {
				if key := keyOf(m.holds(s)); !shown[key] {
					shown[key], all = true, append(all, s.text)
				}
			}
			for _, r := range m.next(s) {
				after, possible := m.step(s, r)
				key := after.key()
				if !possible || known[key] {
					continue
				}
				if len(after.text) > maxText {
					cut = true
					continue
				}
				if work -= 1 + len(after.threads)/threadsAtOnce; work < 0 {
					return all, false, 0
				}
				known[key] = true
				rank := level
				if len(after.held) > len(s.held) && m.floats(after.held, s.held) {
					rank++
				}
				if rank == len(queues) {
					queues = append(queues, nil)
				}
				queues[rank] = append(queues[rank], after)
			}
			queues[level][n] = state{} // is not needed any more
		}
	}
	return all, !cut, work
}

// maxText bounds how long they get, and threadsAtOnce are about as much work as the rest
// of a step.
const (
	maxText       = 1000
	threadsAtOnce = 32
)

// floats says whether a condition that is new can be met anywhere: those multiply.
func (m *machine) floats(now, before []int) bool {
	return slices.ContainsFunc(now, func(n int) bool { return !m.all[n].anchored && !slices.Contains(before, n) })
}

// step gives the state after a letter.
func (m *machine) step(s state, r rune) (state, bool) {
	after := state{held: s.held, before: s.before, text: s.text + string(r)}
	if m.path {
		var clean bool
		if after.segment, clean = nextSegment(s.segment, r); !clean {
			return after, false
		}
	}
	if m.inner {
		after.segment = segmentOther
		if isBlank(r) {
			after.segment = segmentBlank
		}
		if s.segment == segmentNone && isBlank(r) {
			return after, false
		}
	}
	after.before = '/'
	if m.words && syntax.IsWordChar(r) {
		after.before = 'a'
	} else if r == '\n' {
		after.before = r
	}
	marks := make(map[thread]bool)
	for at := 0; at < len(s.threads); {
		n := s.threads[at].condition
		end := at
		for end < len(s.threads) && s.threads[end].condition == n {
			end++
		}
		next, held := m.all[n].feed(n, s.threads[at:end], s.before, r)
		if held {
			after.held = insert(after.held, n)
		} else {
			for _, t := range next {
				if !marks[t] {
					marks[t] = true
					after.threads = append(after.threads, t)
				}
			}
		}
		at = end
	}
	slices.SortFunc(after.threads, func(a, b thread) int {
		return cmp.Or(a.condition-b.condition, cmp.Compare(a.at, b.at))
	})
	return after, true
}

func insert(all []int, n int) []int {
	at, found := slices.BinarySearch(all, n)
	if found {
		return all
	}
	return slices.Insert(slices.Clone(all), at, n)
}

// nextSegment keeps to paths without empty segments and dot segments.
func nextSegment(segment byte, r rune) (next byte, clean bool) {
	switch {
	case segment == segmentNone:
		return segmentEmpty, r == '/'
	case r == '/':
		return segmentEmpty, segment == segmentOther
	case r == '.' && segment == segmentEmpty:
		return segmentDot, true
	case r == '.' && segment == segmentDot:
		return segmentDots, true
	default:
		return segmentOther, true
	}
}

// holds gives the conditions that hold for the text as it is.
func (m *machine) holds(s state) []int {
	held := slices.Clone(s.held)
	for at := 0; at < len(s.threads); {
		n := s.threads[at].condition
		end := at
		for end < len(s.threads) && s.threads[end].condition == n {
			end++
		}
		if m.all[n].accepts(s.threads[at:end], s.before, s.segment == segmentEmpty) {
			held = append(held, n)
		}
		at = end
	}
	slices.Sort(held)
	return held
}

// next gives the letters that make a difference: one of each range that an instruction has
// in common with no other, and one that none of them has.
func (m *machine) next(s state) []rune {
	cuts := make(map[rune]bool)
	cut := func(low, high rune) { cuts[low], cuts[high+1] = true, true }
	cut('z', 'z')
	if m.path {
		cut('/', '/')
		cut('.', '.')
	}
	if m.inner {
		cut(' ', ' ')
		cut('\t', '\t')
	}
	if m.words {
		for _, ends := range []string{"09", "AZ", "__", "az"} {
			cut(rune(ends[0]), rune(ends[1]))
		}
	}
	for _, t := range s.threads {
		m.all[t.condition].ranges(t, cut)
	}
	all := slices.Sorted(func(yield func(rune) bool) {
		for r := range cuts {
			if !yield(r) {
				return
			}
		}
	})
	var letters []rune
	last := rune(0)
	for _, r := range append(all, unicode.MaxRune+1) {
		if letter, ok := m.letter(last, r-1); ok {
			letters = append(letters, letter)
		}
		last = r
	}
	slices.SortStableFunc(letters, func(a, b rune) int { return int(rankOf(unicode.IsUpper(a)) - rankOf(unicode.IsUpper(b))) })
	return letters
}

// letter gives one of a range, a plain one if it can be.
func (m *machine) letter(low, high rune) (rune, bool) {
	for _, r := range "zqx7a0AZbcdefghijklmnopqrstuvwy123456789BCDEFGHIJKLMNOPQRSTUVWXY-_~.!$&'()*+,;=:@/é" {
		if low <= r && r <= high && m.allowed(r) {
			return r, true
		}
	}
	high = min(high, low+0x100)
	for _, good := range []func(rune) bool{unicode.IsPrint, utf8.ValidRune} {
		for r := low; r <= high; r++ {
			if m.allowed(r) && good(r) {
				return r, true
			}
		}
	}
	for r := low; m.escaped && r <= high; r++ {
		if utf8.ValidRune(r) {
			return r, true
		}
	}
	return 0, false
}

// key is equal for states of which the same follows.
func (s *state) key() string {
	text := binary.AppendVarint(nil, int64(s.before)<<8|int64(s.segment))
	text = binary.AppendUvarint(text, uint64(len(s.held)))
	for _, n := range s.held {
		text = binary.AppendUvarint(text, uint64(n))
	}
	for _, t := range s.threads {
		text = binary.AppendUvarint(text, uint64(t.condition))
		text = binary.AppendUvarint(text, uint64(t.at))
	}
	return string(text)
}

func keyOf(numbers []int) string {
	var text []byte
	for _, n := range numbers {
		text = binary.AppendUvarint(text, uint64(n))
	}
	return string(text)
}

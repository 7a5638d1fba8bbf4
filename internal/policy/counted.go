package policy

import (
	"fmt"
	"maps"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// What a limit counts by, and what a request costs, may be what handlers in front of it have
// made of the request: then two limits that are written alike count otherwise.

// countable gives the value of a placeholder for who counts by it: none that is made of a part
// of the request for which there are only samples.
func (w *walk) countable(name string) (value string, known bool) {
	if w.isGuess(name) {
		return "{" + name + "}", false
	}
	return w.value(name)
}

// countedBy notes what handlers have made of what a zone looks at.
func (w *walk) countedBy(z *Zone) {
	for _, name := range z.placeholders() {
		made, can := w.madeOf(name)
		if !can || slices.Contains(w.out.counted[name], made) {
			continue
		}
		counted := maps.Clone(w.out.counted)
		if counted == nil {
			counted = make(map[string][]string)
		}
		counted[name], w.out.counted = append(slices.Clip(counted[name]), made), counted
	}
}

// placeholders are those of key and cost.
func (z *Zone) placeholders() []string {
	if z.Cost == nil {
		return z.named
	}
	return slices.Concat(z.named, z.Cost.text.placeholders())
}

// oneForAll is made of what is the same for each request.
const oneForAll = "one for all"

// madeOf tells what handlers have made of what a placeholder stands for, equal where it is the
// same; nothing, where that is as it was sent. Of some they can make nothing.
func (w *walk) madeOf(name string) (made string, can bool) {
	if field, ok := fieldOf(name); ok {
		return w.fields.now(w, field).made(), true
	}
	variable, isVar := strings.CutPrefix(name, "http.vars.")
	switch {
	case name == "http.request.method" && !w.methodSet:
		return "", true
	case name == "http.request.method":
		return sameForAll(w.method), true
	case isVar && !slices.Contains(ownVars, variable):
		return sameForAll(w.vars[variable]), true
	case strings.HasPrefix(name, uriPlaceholder):
		return strings.Join(w.rewrote, " "), true
	case strings.HasPrefix(name, capturePrefix):
		by := slices.Clone(w.rewrote)
		for _, c := range w.captured {
			by = append(by, c.name+" "+c.by.String())
		}
		return strings.Join(by, " "), true
	default:
		return "", false
	}
}

// made is madeOf for a field.
func (f field) made() string {
	switch {
	case f.sent && len(f.ops) == 0:
		return ""
	case !f.sent && len(f.ops) == 0 && !f.guessed:
		return sameForAll(strings.Join(f.values, ","))
	default:
		return f.String()
	}
}

func sameForAll(text string) string {
	if hasPlaceholder(text) {
		return text
	}
	return oneForAll
}

// countsLess names something that limits of both look at, where handlers made something of it
// that no limit of the other one looks at any more: nothing, if there is no such thing.
func (o *Outcome) countsLess(other *Outcome) string {
	for _, name := range slices.Sorted(maps.Keys(o.counted)) {
		now, both := other.counted[name]
		for _, made := range o.counted[name] {
			if both && !slices.Contains(now, made) && !slices.Contains(now, oneForAll) {
				return "{" + name + "}"
			}
		}
	}
	return ""
}

// gatherZone has what a limit counts by, and what says the cost: a request without it is
// refused, and one that costs nothing is not counted.
func (a *atoms) gatherZone(z *Zone, seen []view) {
	for _, name := range z.named {
		a.gatherValues(name, "")
		a.gatherPart(z, name, seen)
	}
	if z.Cost == nil {
		return
	}
	for _, name := range z.Cost.text.placeholders() {
		a.gatherValues(name, free, one)
		a.gatherPart(z, name, seen, free, one)
		if key, ok := strings.CutPrefix(name, queryPlaceholder+"."); ok {
			for _, cost := range []string{free, one} {
				a.linesOf("query "+key).gather("^(?:"+cost+")$", true, func(value string) bool { return value == cost })
			}
		}
	}
}

// free and one are costs.
const free, one = "0", "1"

// gatherPart has requests whose URL has these values where a placeholder takes one from; if there
// are none, requests that have any there. What a rewrite or an expression makes of the URL is
// not followed back.
func (a *atoms) gatherPart(z *Zone, name string, seen []view, values ...string) {
	what := "limit " + z.Name + " by {" + name + "}"
	if group, ok := strings.CutPrefix(name, capturePrefix); ok {
		if len(values) > 0 || !a.finds(group) {
			a.cut = append(a.cut, what+", of which an expression may find nothing")
		}
		return
	}
	part, ok := strings.CutPrefix(name, uriPlaceholder)
	if !ok {
		return
	}
	ofPath := strings.HasPrefix(part, ".path")
	if !ofPath {
		a.missQuery(what, seen)
	}
	if !strings.HasPrefix(part, ".query.") {
		a.queries = append(a.queries, stranger+"=1")
	}
	if !ofPath && part != "" {
		return
	}
	for _, expr := range partOfPath(part, values) {
		a.gatherPath(expr, what, seen)
	}
}

// partOfPath gives an expression for paths that have a value in a part, or each of these.
func partOfPath(part string, values []string) (all []string) {
	before, any, after := "", "[^/]", "(?:/|$)"
	if n, err := strconv.Atoi(strings.TrimPrefix(part, ".path.")); err == nil {
		before = segmentsBefore(n)
	} else if part == ".path.file" {
		any, after = "[^/]$", "$"
		if len(values) > 0 {
			before = "/"
		}
	} else {
		return []string{"^/"} // it is always there, and no number
	}
	if len(values) == 0 {
		return []string{before + any}
	}
	for _, value := range values {
		all = append(all, before+value+after)
	}
	return all
}

// segmentsBefore is an expression for what is in front of a segment.
func segmentsBefore(n int) string { return fmt.Sprintf("^/(?:[^/]*/){%d}", n) }

// finds says whether a group of an expression, as placeholders call it, finds at least a letter
// wherever the expression finds something.
func (a *atoms) finds(group string) bool {
	return !slices.ContainsFunc(a.finders, func(r finder) bool {
		n, ok := r.group(group)
		if !ok {
			return false
		}
		tree, err := syntax.Parse(r.String(), syntax.Perl)
		return err != nil || !fills(tree, n)
	})
}

// fills says whether a group is in all that an expression finds, and is never empty.
func fills(tree *syntax.Regexp, group int) bool {
	if group == 0 || tree.Op == syntax.OpCapture && tree.Cap == group {
		return least(tree) > 0
	}
	switch {
	case tree.Op == syntax.OpConcat, tree.Op == syntax.OpPlus, tree.Op == syntax.OpCapture, tree.Op == syntax.OpRepeat && tree.Min > 0:
		return slices.ContainsFunc(tree.Sub, func(sub *syntax.Regexp) bool { return fills(sub, group) })
	default:
		return false
	}
}

// least is the number of letters that an expression finds at the least.
func least(tree *syntax.Regexp) (letters int) {
	switch tree.Op {
	case syntax.OpLiteral:
		return len(tree.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1
	case syntax.OpAlternate:
		letters = least(tree.Sub[0])
		for _, sub := range tree.Sub[1:] {
			letters = min(letters, least(sub))
		}
		return letters
	case syntax.OpRepeat:
		return tree.Min * least(tree.Sub[0])
	case syntax.OpConcat, syntax.OpPlus, syntax.OpCapture:
		for _, sub := range tree.Sub {
			letters += least(sub)
		}
		return letters
	default:
		return 0
	}
}

package policy

import (
	"maps"
	"net/url"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// What handlers fill in from a part of the URL is another text only for requests that have such
// a part: so there are some that have it, and some that have not.

// gatherFilled has those for what a handler fills in.
func (a *atoms) gatherFilled(h Handler, seen []view) {
	for _, text := range filledIn(h) {
		if !strings.Contains(text, "{"+uriPlaceholder) && !strings.Contains(text, "{"+capturePrefix) {
			continue
		}
		for _, name := range placeholder.FindAllString(text, -1) {
			if part, ok := strings.CutPrefix(strings.Trim(name, "{}"), uriPlaceholder); ok {
				a.gatherFill(part, h.String()+" with "+name, seen)
			}
			if group, ok := strings.CutPrefix(strings.Trim(name, "{}"), capturePrefix); ok {
				a.gatherCapture(group, h.String()+" with "+name)
			}
		}
	}
}

// filledIn are the texts of a handler in which placeholders are filled in, where more depends on
// it than how an answer is packed.
func filledIn(h Handler) []string {
	switch h := h.(type) {
	case *Static:
		return slices.Sorted(maps.Values(h.leaves))
	case *FilesHandler:
		return slices.Sorted(maps.Values(h.leaves))
	case *Proxy:
		own := maps.Clone(h.leaves)
		maps.DeleteFunc(own, func(name, _ string) bool { return strings.HasPrefix(name, "handle_response.") })
		return slices.Sorted(maps.Values(own))
	case *StaticError:
		return []string{statusText(h.Status), h.Message}
	case *Headers:
		return []string{h.answer, compact(h.Request)}
	case *Rewrite:
		return []string{h.text}
	case *Pass:
		if !h.silent() {
			return []string{h.text}
		}
	}
	return nil
}

// gatherFill has requests with and without a part of the URL. What a rewrite makes of it is not
// followed back.
func (a *atoms) gatherFill(part, what string, seen []view) {
	key, isParameter := strings.CutPrefix(part, ".query.")
	isQuery := part == "" || part == ".query" || part == ".prefixed_query"
	switch {
	case !isParameter && !isQuery:
		for _, expr := range tellingParts(part) {
			a.fills = append(a.fills, a.conditionsOf(expr, what, seen)...)
		}
		return
	case isParameter:
		a.filled = append(a.filled, key)
	default:
		a.queries = append(a.queries, stranger+"=1")
	}
	a.missQuery(what, seen)
}

// tellingParts gives expressions for paths that have a part, that have another one behind it, and
// whose part is none of those that the others have there.
func tellingParts(part string) []string {
	const someLetter = "[02468a-mA-M]"
	if index, ok := strings.CutPrefix(part, ".path."); ok {
		switch n, err := strconv.Atoi(index); {
		case err == nil:
			next := ".path." + strconv.Itoa(n+1)
			return slices.Concat(partOfPath(part, nil), partOfPath(next, nil), []string{segmentsBefore(n) + someLetter})
		case index == "file":
			return append(partOfPath(part, nil), "^/[^/]+/", "/"+someLetter+"[^/]*$")
		case index == "dir":
			return []string{"^/[^/]+/"}
		}
	}
	return nil
}

// finder is an expression that finds something, and where it looks.
type finder struct {
	namedRegexp
	field string // empty: the path
	seen  []view
}

// gatherCapture has requests in which each expression so far finds a certain text by a group, beside
// those in which it finds any.
func (a *atoms) gatherCapture(group, what string) {
	if a.captures == nil {
		a.captures = make(map[string]int)
	}
	for _, f := range a.finders[a.captures[group]:] {
		n, ok := f.group(group)
		if !ok {
			continue
		}
		expr := withGroup(f.String(), n)
		compiled, err := regexp.Compile(expr)
		switch {
		case err != nil || expr == "":
		case f.field == "":
			a.fills = append(a.fills, a.conditionsOf(expr, what, f.seen)...)
		default:
			lines := a.linesOf("header " + f.field)
			lines.gather(expr, true, compiled.MatchString)
			lines.tell(f.String(), compiled)
		}
	}
	a.captures[group] = len(a.finders)
}

// withGroup is an expression with a text in the place of a group; nothing, where that is always
// empty, or all that is found.
func withGroup(expr string, group int) string {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil || !force(tree, group) {
		return ""
	}
	return tree.String()
}

// force puts the longest of the samples into a group, and takes away what could leave it out.
func force(r *syntax.Regexp, group int) bool {
	if r.Op == syntax.OpCapture && r.Cap == group {
		text := slices.MaxFunc(samples(r.Sub[0].Simplify()), func(a, b string) int { return len(a) - len(b) })
		r.Sub[0] = &syntax.Regexp{Op: syntax.OpLiteral, Rune: []rune(text)}
		return text != ""
	}
	for _, sub := range r.Sub {
		if !force(sub, group) {
			continue
		}
		switch r.Op {
		case syntax.OpStar, syntax.OpQuest, syntax.OpAlternate:
			*r = *sub
		case syntax.OpRepeat:
			r.Min = max(r.Min, 1)
		}
		return true
	}
	return false
}

// fillableParameters has those that are filled in, and that nobody compares with anything: all of
// them are there, each with a value of its own, or none is.
func (a *atoms) fillableParameters() {
	a.filled = slices.DeleteFunc(unique(a.filled), func(key string) bool { return a.lines["query "+key] != nil })
	slices.Sort(a.filled)
	for _, key := range a.filled {
		a.linesOf("query " + key).samples = []lineSample{{text: stranger + "-" + url.QueryEscape(key)}}
	}
}

// fillParameter decides about one of them, and so about all.
func (w *walk) fillParameter(key string) {
	open, known := w.openPart("query " + key)
	if open == nil || open.closed {
		return
	}
	if w.oracle.unknown("whether there are the parameters that are filled in") {
		w.addLine("query "+key, open, known.samples[0].text)
	}
	open.closed = true
}

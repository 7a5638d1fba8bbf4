package policy

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// A header field can be there several times, and a parameter as well, and a matcher is
// content with one of the values. So they are not chosen from a list, but decided value by
// value, each time a matcher asks whether one of them is as it wants.

// lines are the values that stand for all others of a field or a parameter.
type lines struct {
	conditions []condition
	holds      []func(string) bool
	more       []string // that somebody else names
	samples    []lineSample
	told       map[string][]*regexp.Regexp // by an expression, what it finds that is filled in
}

// lineSample is a value, and the conditions that hold for it.
type lineSample struct {
	text string
	in   []int
}

func (a *atoms) linesOf(part string) *lines {
	if a.lines[part] == nil {
		a.lines[part] = new(lines)
	}
	return a.lines[part]
}

func (l *lines) add(values ...string) { l.more = append(l.more, values...) }

// gather has a condition of a value, if it is one.
func (l *lines) gather(expr string, is bool, holds func(string) bool) {
	if c := (condition{expr: expr}); is && !slices.Contains(l.conditions, c) {
		l.conditions, l.holds = append(l.conditions, c), append(l.holds, holds)
	}
}

// tell has a part of what an expression finds tried as well.
func (l *lines) tell(expr string, told *regexp.Regexp) {
	if l.told == nil {
		l.told = make(map[string][]*regexp.Regexp)
	}
	if !slices.ContainsFunc(l.told[expr], func(r *regexp.Regexp) bool { return r.String() == told.String() }) {
		l.told[expr] = append(l.told[expr], told)
	}
}

func wantedOf(patterns []string) func(string) bool {
	return func(value string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return valueMatches(p, value) })
	}
}

// inLine says whether a letter is one that a value may have.
func inLine(r rune) bool { return r == '\t' || r >= ' ' && r != 0x7f }

// list makes the samples: one for each way in which the conditions can hold together. It
// says whether they are all. HTTP/1.1 takes blanks at the ends of a field away, and HTTP/2
// does not: so they are there where nothing else will do.
func (l *lines) list(t *textFinder) bool {
	texts, whole := t.of(l.conditions, letters{allowed: inLine, inner: true})
	blank, wholly := t.of(l.conditions, letters{allowed: inLine})
	known := make(map[string]bool)
	for _, text := range slices.Concat([]string{stranger}, l.more, texts, blank) {
		s := lineSample{text: text}
		for n, holds := range l.holds {
			if holds(text) {
				s.in = append(s.in, n)
			}
		}
		if key := keyOf(s.in); !known[key] {
			known[key], l.samples = true, append(l.samples, s)
		}
	}
	return whole && wholly
}

func (l *lines) texts() (all []string) {
	if l == nil {
		return nil
	}
	for _, s := range l.samples {
		all = append(all, s.text)
	}
	return all
}

// such are the samples for which one condition holds and none of others, with as little
// else as can be.
func (l *lines) such(holds func(string) bool, open *openLines) (all []lineSample) {
	for _, s := range l.samples {
		if holds(s.text) && !open.rulesOut([]string{s.text}) {
			all = append(all, s)
		}
	}
	isMore := func(s lineSample) bool {
		return slices.ContainsFunc(all, func(t lineSample) bool {
			return len(t.in) < len(s.in) && !slices.ContainsFunc(t.in, func(n int) bool { return !slices.Contains(s.in, n) })
		})
	}
	return slices.DeleteFunc(slices.Clone(all), isMore)
}

// openLines is how far the values of a field or parameter are decided.
type openLines struct {
	closed bool // there is none beside those that are there
	values []string
	never  []func(string) bool // conditions that are to hold for none
}

// rulesOut says whether values are others than those that were decided on.
func (o *openLines) rulesOut(values []string) bool {
	return o.closed && values != nil ||
		slices.ContainsFunc(o.never, func(never func(string) bool) bool { return slices.ContainsFunc(values, never) })
}

// openPart gives the values of a part of a request while they are not all decided.
func (w *walk) openPart(part string) (*openLines, *lines) {
	known := w.oracle.lines[part]
	if known == nil || w.req.open == nil || w.req.open[part] {
		return nil, nil
	}
	if w.req.parts[part] == nil {
		w.req.parts[part] = new(openLines)
	}
	return w.req.parts[part], known
}

// hasSome decides whether a value is as it is wanted.
func (w *walk) hasSome(part string, wanted func(string) bool) bool {
	open, known := w.openPart(part)
	if slices.ContainsFunc(open.values, wanted) {
		return true
	}
	if open.closed {
		return false
	}
	samples := known.such(wanted, open)
	n := w.oracle.choose(1 + len(samples))
	if n == 0 {
		open.never = append(open.never, wanted)
		return false
	}
	w.addLine(part, open, samples[n-1].text)
	return true
}

// hasAny decides whether there is a value.
func (w *walk) hasAny(part string) bool {
	open, known := w.openPart(part)
	if len(open.values) > 0 || open.closed {
		return len(open.values) > 0
	}
	samples := known.such(func(string) bool { return true }, open)
	n := w.oracle.choose(1 + len(samples))
	if n == 0 {
		open.closed = true
		return false
	}
	w.addLine(part, open, samples[n-1].text)
	return true
}

// addLine sends one more.
func (w *walk) addLine(part string, open *openLines, value string) {
	open.values = append(open.values, value)
	kind, name, _ := strings.Cut(part, " ")
	if kind == "header" {
		w.req.Header[name] = slices.Clone(open.values)
		return
	}
	glue := "?"
	if strings.Contains(w.req.Target, "?") {
		glue = "&"
	}
	w.req.Target += glue + url.QueryEscape(name) + "=" + url.QueryEscape(value)
	_, w.url.RawQuery, _ = strings.Cut(w.req.Target, "?")
}

// parameter gives the values of one parameter of the query that was sent, and decides them.
func (w *walk) parameter(key string) []string {
	part := "query " + key
	if open, known := w.openPart(part); open != nil && !w.queryChanged && !w.req.open["query"] {
		if slices.Contains(w.oracle.filled, key) {
			w.fillParameter(key)
		}
		if len(open.values) == 0 && !open.closed {
			samples := slices.DeleteFunc(slices.Clone(known.samples), func(s lineSample) bool {
				return open.rulesOut([]string{s.text})
			})
			if n := w.oracle.choose(1 + len(samples)); n > 0 {
				w.addLine(part, open, samples[n-1].text)
			}
		}
		open.closed = true
		return open.values
	}
	return lenient(w.query())[key]
}

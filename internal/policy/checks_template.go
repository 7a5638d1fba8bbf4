package policy

import (
	"regexp"
	"slices"
	"strings"
)

// What templates do that are run over answers.

// action is one of a template.
type action struct {
	text  string
	inner string // between the delimiters
}

// calls are without the texts that are written in it.
func (a action) calls() string {
	_, rest := byNames(a.inner)
	return quoted.ReplaceAllString(rest, "")
}

// placeholders are those that it asks for by name.
func (a action) placeholders() (all string) {
	names, _ := byNames(a.inner)
	for _, name := range names {
		all += "{" + name + "}"
	}
	return all
}

var (
	quoted = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"|`[^`]*`|'(?:[^'\\\\]|\\\\.[^']*)'")

	// reads tell what only the edge can read, or may: a placeholder of any name.
	reads = regexp.MustCompile(`\b(env|expandenv|readFile|listFiles|fileStat)\b|` + toPlaceholder)
	// asks are those that read, or send a request, or take what comes for a template; what
	// they are given says what.
	asks = regexp.MustCompile(`\b(env|expandenv|include|import|httpInclude|readFile|listFiles|fileStat|fileExists)\b|` + toPlaceholder)
	// callers are what the request has, as it came.
	callers = regexp.MustCompile(`\.(Req|OriginalReq|Cookie)\b`)
	// keeps what it is given for other actions, which then mean it.
	keeps = regexp.MustCompile(`:?=|\b(with|range|block|template)\b`)
	means = regexp.MustCompile(`\$|(^|[\s(])\.([\s)]|$)`)
)

// actionsIn takes a text apart as templates do: the actions, and what is between them.
func (h *Pass) actionsIn(text string) (all []action, between string) {
	left, right := h.braces[0], h.braces[1]
	for {
		before, rest, opened := strings.Cut(text, left)
		end := endOfAction(rest, right)
		if !opened || end < 0 {
			return all, between + text
		}
		if inner := rest[:end]; !remark.MatchString(inner) {
			all = append(all, action{left + inner + right, inner})
		}
		between, text = between+before+"\n", rest[end+len(right):]
	}
}

var remark = regexp.MustCompile(`^(?:-\s)?/\*(?s:.*?)\*/`)

// endOfAction is where what closes it is, which a remark, or a text, may have within; negative:
// nowhere.
func endOfAction(rest, right string) int {
	from := len(remark.FindString(rest))
	for {
		end := strings.Index(rest[from:], right)
		text := quoted.FindStringIndex(rest[from:])
		switch {
		case end < 0:
			return end
		case text == nil, text[0] > end:
			return from + end
		}
		from += text[1]
	}
}

// hasCallers says whether the action has words of the caller's.
func (r *Rule) hasCallers(a action) bool {
	calls := a.calls()
	return callers.MatchString(calls) || r.madeUp(a.placeholders(), ofPath) || seesHost.MatchString(calls) && r.madeUp("{http.request.host}", ofHost)
}

// looksAt are the placeholders that stand for what it looks at, as far as that is written out.
func (a action) looksAt() (all string) {
	all = a.placeholders()
	for _, field := range seesField.FindAllStringSubmatch(a.inner, -1) {
		all += "{" + fieldKey(field[1]) + "}"
	}
	for _, cookie := range seesCookie.FindAllStringSubmatch(a.inner, -1) {
		all += "{http.request.cookie." + cookie[1] + "}"
	}
	if seesHost.MatchString(a.calls()) {
		all += "{http.request.host}"
	}
	if seesLine.MatchString(a.calls()) {
		all += "{http.request.uri}"
	}
	return all
}

// hasWords says whether a text has what is known to be of the caller's: an action looks like
// a placeholder that nobody knows.
func (r *Rule) hasWords(text string) bool {
	return slices.ContainsFunc(placeholder.FindAllString(text, -1), func(name string) bool { return r.of(name) == ofPath || r.of(name) == ofCaller })
}

// runTemplates shows the actions of each answer that a template is run over.
func (l *linter) runTemplates(show func(*Rule, []action)) {
	for _, r := range l.rules {
		h, ok := r.by.(*Static)
		if !ok {
			continue
		}
		for _, o := range r.may(templateKey) {
			if actions, _ := o.template.actionsIn(h.Body); len(actions) > 0 {
				show(r, actions)
			}
		}
	}
}

func templateByChoice(l *linter) {
	for _, r := range l.rules {
		h, ok := r.by.(*Static)
		if !ok {
			continue
		}
		for _, o := range r.may(templateKey) {
			_, between := o.template.actionsIn(h.Body)
			if r.madeUp(between, ofPath) || slices.ContainsFunc(r.spell(h.Body), r.hasWords) {
				l.found(r.API, r.At, "%s runs %s", r.Where(), strings.Join(placeholder.FindAllString(h.Body, -1), " "))
			}
		}
	}
	l.runTemplates(func(r *Rule, actions []action) {
		kept := slices.ContainsFunc(actions, func(a action) bool { return keeps.MatchString(a.calls()) && r.hasCallers(a) })
		for _, a := range actions {
			if asks.MatchString(a.calls()) && (r.hasCallers(a) || kept && means.MatchString(a.calls())) {
				l.found(r.API, r.At, "%s runs %s", r.Where(), a.text)
			}
		}
	})
}

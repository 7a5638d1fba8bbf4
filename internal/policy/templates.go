package policy

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What the actions of a template see of the request: as handlers on the way have left it.

// templateSees is a setting of answers that a template makes of their body.
const templateSees = "view of a template"

// What actions look at. What none of these is, may look at all there is.
var (
	seesSent   = regexp.MustCompile("\\.(?:OriginalReq|RemoteIP|ClientIP)\\b[\\w.]*(?: +[\"`][^\"`]*[\"`])?")
	seesField  = regexp.MustCompile("\\.Req\\.Header\\.(?:Get|Values) +[\"`]([\\w-]+)[\"`]")
	seesCookie = regexp.MustCompile("\\.Cookie +[\"`]([^\"`]*)[\"`]")
	seesHost   = regexp.MustCompile(`\.(?:Req\.)?Host\b`)
	seesLine   = regexp.MustCompile(`\.Req\.(?:URL|Method|RequestURI)\b[\w.]*`)
	seesMore   = regexp.MustCompile(`\.[A-Za-z]|\$|(?:^|[\s(])\.(?:[\s)|]|$)|\b(?:include|import|httpInclude|template|block|range|with)\b|` + toPlaceholder)
)

// toPlaceholder is the function that gives placeholders; namesOne also its argument, which is
// a text: \x00 stands for each of these.
const toPlaceholder = `(?:^|[^.$\w])(?:placeholder|ph)\b`

var namesOne = regexp.MustCompile(toPlaceholder + `\s+\x00|(?:^-?|[(=])\s*\x00\s*\|\s*(?:placeholder|ph)\b`)

// byNames are the placeholders that an action asks for by names that are written out, and
// what it has beside.
func byNames(action string) (names []string, rest string) {
	var texts []string
	action = quoted.ReplaceAllStringFunc(strings.ReplaceAll(action, "\x00", " "), func(text string) string {
		texts = append(texts, text)
		return "\x00"
	})
	var b strings.Builder
	put := func(part string) {
		for n, between := range strings.Split(part, "\x00") {
			if n > 0 {
				b.WriteString(texts[0])
				texts = texts[1:]
			}
			b.WriteString(between)
		}
	}
	at := 0
	for _, found := range namesOne.FindAllStringIndex(action, -1) {
		put(action[at:found[0]])
		if first := action[found[0]]; first == '(' || first == '=' || first == '|' {
			b.WriteByte(first)
		}
		name, _ := strconv.Unquote(texts[0]) // what is no text is none of Go's templates, either
		names, texts, at = append(names, name), texts[1:], found[1]
	}
	put(action[at:])
	return names, b.String()
}

// templateSees is what the actions of a body see that is not as it was sent; nothing where no
// template makes anything of it.
func (w *walk) templateSees(body string) string {
	var seen []string
	for _, h := range w.passes {
		if h.What != "templates" {
			continue
		}
		actions, _ := h.actionsIn(body)
		for _, a := range actions {
			seen = append(seen, w.actionSees(a.inner)...)
		}
	}
	seen = slices.DeleteFunc(seen, func(text string) bool { return text == "" })
	slices.Sort(seen)
	return strings.Join(slices.Compact(seen), "; ")
}

func (w *walk) actionSees(action string) (seen []string) {
	names, action := byNames(action)
	for _, name := range names {
		seen = append(seen, w.placeholderSeen(name))
	}
	action = seesSent.ReplaceAllString(action, "")
	take := func(what *regexp.Regexp, see func(name string) string) {
		for _, found := range what.FindAllStringSubmatch(action, -1) {
			seen = append(seen, see(found[len(found)-1]))
		}
		action = what.ReplaceAllString(action, "")
	}
	take(seesField, w.fieldSeen)
	take(seesCookie, func(string) string { return w.fieldSeen("Cookie") })
	take(seesHost, func(string) string { return w.fieldSeen("Host") })
	take(seesLine, func(string) string { return w.lineSeen() })
	if !seesMore.MatchString(quoted.ReplaceAllString(action, "")) {
		return seen
	}
	seen = append(seen, w.lineSeen(), w.placeholderSeen("http.error"), w.placeholderSeen("http.error.message"), w.placeholderSeen("http.request.body"))
	for name := range w.fields.made {
		seen = append(seen, w.fieldSeen(name))
	}
	seen = append(seen, w.fields.gone...)
	seen = append(seen, field{ops: w.fields.all}.String())
	for name := range w.vars {
		seen = append(seen, "{http.vars."+name+"} "+w.vars[name])
	}
	for _, h := range w.passes {
		for name := range h.mapped {
			seen = append(seen, w.fill(name))
		}
	}
	return seen
}

// fieldSeen is what a header field has become; nothing where it is as it was sent.
func (w *walk) fieldSeen(name string) string {
	name = canonicalField(name)
	now := w.fields.now(w, name)
	if now.equals(field{sent: true}) {
		return ""
	}
	return name + ": " + now.String()
}

// lineSeen is what method and URL are: as sent, these are equal in both.
func (w *walk) lineSeen() string {
	text := w.url.EscapedPath()
	if w.queryChanged {
		text += "?" + w.url.RawQuery
	}
	if w.methodSet {
		text = w.method + " " + text
	}
	return strings.Join(append([]string{text}, w.rewrites...), ", and then ")
}

// placeholderSeen is what a placeholder stands for, as far as that is known.
func (w *walk) placeholderSeen(name string) string {
	if text := w.fill("{" + name + "}"); text != "{"+name+"}" {
		return "{" + name + "} " + text
	}
	return ""
}

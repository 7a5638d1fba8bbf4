package policy

import (
	"regexp"
	"slices"
	"strings"
)

// What the configuration says to a caller by itself, whoever answers, and what of that only
// the edge knows.

// answerOp is something that is done to the fields of the answer.
type answerOp struct {
	text string
	late bool // when it is given: to one that comes of an error it is not done
	hint bool // it has gone out, with all before it, in front of the answer
}

// cut leaves what has gone out when the connection is cut.
func (w *walk) cut() {
	for n := len(w.answers); n > 0; n-- {
		if w.answers[n-1].hint {
			w.answers = w.answers[:n]
			return
		}
	}
	w.answers = nil
}

// silent stands for who answers where the configuration says nothing: an API that refuses,
// Caddy's bare status, an empty 200.
type silent struct{}

func (silent) serve(_ *walk, next next) end { return next() }
func (silent) String() string               { return "no words of the configuration" }

// isSilent says whether the configuration has no answer of its own.
func (y *way) isSilent() bool { _, is := y.by.(silent); return is }

// wrappers are what handlers have put around the answer so far.
type wrappers struct{ answers, passes int }

func (w *walk) wrappers() wrappers { return wrappers{len(w.answers), len(w.passes)} }

// unwrap takes away what was put around the answer since: who handles an error writes to
// what was there before.
func (w *walk) unwrap(around wrappers) {
	w.answers = kept(w.answers, around.answers, func(op answerOp) bool { return !op.late })
	w.passes = kept(w.passes, around.passes, func(h *Pass) bool { return !h.wraps() })
}

// kept leaves of those from n on the ones that stay.
func kept[T any](all []T, n int, stays func(T) bool) []T {
	if !slices.ContainsFunc(all[n:], func(one T) bool { return !stays(one) }) {
		return all
	}
	left := slices.Clone(all[:n])
	for _, one := range all[n:] {
		if stays(one) {
			left = append(left, one)
		}
	}
	return left
}

// done is unwrap for an answer that has gone through all that was put around it: late
// changes of its fields are made, and stay.
func (w *walk) done(around wrappers) {
	w.answers = slices.Clone(w.answers)
	for n := range w.answers[around.answers:] {
		w.answers[around.answers+n].late = false
	}
	w.unwrap(around)
}

// over gives the words of an answer in the place of another: what it does not say itself
// stays as it was.
func (w *walk) over(before *Outcome) *way {
	now := w.out.way
	switch {
	case now == nil: // the connection is cut
		w.cut()
		now = &way{by: silent{}, vars: w.vars, walk: before.way.walk}
		w.around(now)
		return now
	case now == before.way: // only fields are others
		now = new(*before.way.words())
		now.passes, now.vars = around(now.passes, w.passes), w.vars
		w.around(now)
		return now
	}
	was := before.way.words()
	_, own := now.by.(*Static)
	_, ownBefore := was.by.(*Static)
	if !own || !ownBefore {
		return now
	}
	for name, value := range was.settings {
		if _, there := now.settings[name]; !there && name != templateSees {
			now.settings[name] = value
		}
	}
	if now.settings["body"] == "" { // with what has been done to it
		now.settings["body"] = was.settings["body"]
		delete(now.settings, templateSees)
		if seen, there := was.settings[templateSees]; there {
			now.settings[templateSees] = seen
		}
		now.passes = around(was.passes, now.passes)
	}
	return now
}

// around gives what an answer has passed, and what has been passed since that does nothing
// with it.
func around(inner, outer []*Pass) []*Pass {
	all := slices.Clip(inner)
	for _, h := range outer {
		if !slices.Contains(inner, h) && !h.wraps() {
			all = append(all, h)
		}
	}
	return all
}

// told is a placeholder of the error that is, or was, handled, where its message is known.
func (w *walk) told(name string) (text string, known bool) {
	switch {
	case name == "http.error.message" && w.message != nil:
		return plain(*w.message), true
	case name == "http.error" && w.raised != nil:
		return "{http.error.id} {http.error.trace} {http.error.status_code}: " + plain(*w.raised), true
	default:
		return "", false
	}
}

// asSet has beside each placeholder that handlers have set, and whose value is not known, what
// it was set to. Caddy asks a map when it looks for the value.
func (w *walk) asSet(text string) string {
	if !hasPlaceholder(text) || w.nested == maxNested {
		return text
	}
	w.nested++
	defer func() { w.nested-- }()
	return placeholder.ReplaceAllStringFunc(text, func(name string) string {
		set, found := w.setTo(name)
		if !found {
			return name
		}
		return strings.TrimSuffix(name, "}") + "= " + literal(set) + "}"
	})
}

// maxNested is how deep placeholders are followed: a map may be made of itself.
const maxNested = 8

func (w *walk) setTo(name string) (text string, found bool) {
	switch {
	case strings.Contains(name, "= "): // was done
		return "", false
	case strings.HasPrefix(name, "{http.request.host.labels."), name == "{http.request.port}":
		text = w.fieldSeen("Host")
		return text, text != ""
	case strings.HasPrefix(name, "{http.request.uri"):
		return w.lineSeen(), w.target != w.req.Target || len(w.rewrites) > 0
	}
	if slices.Contains(bodyKeys, strings.Trim(name, "{}")) {
		for _, h := range w.passes {
			if h.setBody != "" {
				text, found = h.setBody, true
			}
		}
		return text, found
	}
	if variable, ok := strings.CutPrefix(name, "{http.vars."); ok {
		text, found = w.vars[strings.TrimSuffix(variable, "}")]
		return text, found && hasPlaceholder(text)
	}
	for _, h := range w.passes {
		outputs, mapped := h.mapped[name]
		if !mapped {
			continue
		}
		found, text = true, text+" "+w.fill(outputs)
		if source := plain(w.fill(h.mapping.Source)); strings.Contains(outputs, "$") {
			text += ", of " + source
		} else { // which is not told
			text += ", by " + strings.NewReplacer("{", "(", "}", ")").Replace(source)
		}
	}
	return strings.TrimSpace(text), found
}

// private gives the placeholders of a text whose values only the edge knows.
func private(text string) (all []string) {
	if strings.Contains(text, "{env.") || strings.Contains(text, "{file.") {
		all = slices.DeleteFunc(placeholder.FindAllString(text, -1), func(name string) bool {
			return !strings.HasPrefix(name, "{env.") && !strings.HasPrefix(name, "{file.")
		})
	}
	return all
}

// ofTheRequest is what an action of a template has that looks at nothing but the request.
var ofTheRequest = regexp.MustCompile(`^-? *\.(Req|OriginalReq|Host|RemoteIP|ClientIP|Cookie)\b[\w.\s"-]*$`)

// actions gives those of a text that may tell more than the caller has said: a template
// reads the environment, files, and what the edge itself answers.
func (h *Pass) actions(text string) (all []string) {
	found, _ := h.actionsIn(text)
	for _, a := range found {
		if !ofTheRequest.MatchString(a.inner) {
			all = append(all, a.text)
		}
	}
	return all
}

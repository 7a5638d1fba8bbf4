package policy

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/open-tollgate/tollgate/internal/identity"
)

// guesses says whether a text is filled in with parts of a request for which there are samples:
// none of these is for who compares what comes of it.
func (w *walk) guesses(text string) (found bool) {
	if w.req.open == nil {
		return false
	}
	replacePlaceholders(text, func(name string) (string, bool) {
		found = found || strings.HasPrefix(name, uriPlaceholder) || strings.HasPrefix(name, capturePrefix) || w.isGuess(name)
		return "", false
	})
	return found
}

// isGuess says whether handlers have made of such parts what a placeholder stands for.
func (w *walk) isGuess(name string) bool {
	if variable, ok := strings.CutPrefix(name, "http.vars."); ok {
		return w.guessed[variable]
	}
	field, ok := fieldOf(name)
	return ok && w.fields.now(w, field).guessed
}

// fieldOf gives the header field that a placeholder takes its value from.
func fieldOf(name string) (field string, ok bool) {
	switch {
	case name == "http.request.host" || name == "http.request.hostport":
		return "Host", true
	case strings.HasPrefix(name, "http.request.cookie."):
		return "Cookie", true
	}
	field, ok = strings.CutPrefix(name, "http.request.header.")
	return canonicalField(field), ok
}

// matched is field for a matcher.
func (w *walk) matched(name string) (values []string, known bool) {
	if w.fields.now(w, canonicalField(name)).guessed {
		return nil, false
	}
	return w.field(name)
}

// field gives the values of a header field as they are now, and whether they are known.
func (w *walk) field(name string) (values []string, known bool) {
	name = canonicalField(name)
	now := w.fields.now(w, name)
	var sent []string
	if now.sent {
		sent = w.sent(name)
	}
	return now.resolve(sent, w.complete())
}

// complete gives the request where nothing of it is left open.
func (w *walk) complete() *Request {
	if w.req.open != nil {
		return nil
	}
	return w.req
}

// sent gives what the request has in a field, and asks where that is not decided.
func (w *walk) sent(name string) []string {
	if name == "Host" {
		return []string{w.sentHost()}
	}
	if w.server != nil && w.server.drops(name) {
		return nil
	}
	return w.asSent(name)
}

// asSent is sent for who looks before Caddy takes fields away.
func (w *walk) asSent(name string) []string {
	if part := "header " + name; w.req.undecided(part) {
		if len(w.req.Header[name]) == 0 {
			if values := pick(w.oracle, w.req.possible(part, w.oracle.fields[name])); values != nil {
				w.req.Header[name] = values
			}
		}
		if open := w.req.parts[part]; open != nil {
			open.closed = true
		}
	}
	return w.req.Header[name]
}

// openField says whether the values of a field that is as it was sent are not decided.
func (w *walk) openField(name string) (part string, open bool) {
	name = canonicalField(name)
	if now := w.fields.now(w, name); name == "Host" || !now.sent || len(now.ops) > 0 || w.server.drops(name) {
		return "", false
	}
	part = "header " + name
	lines, _ := w.openPart(part)
	return part, lines != nil
}

// possible leaves out what was decided to be otherwise.
func (r *Request) possible(part string, all [][]string) [][]string {
	open := r.parts[part]
	if open == nil {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), open.rulesOut)
}

// stripped says whether an API has taken the field away.
func (w *walk) stripped(name string) bool {
	return slices.ContainsFunc(w.strips, func(l *identity.List) bool { return isStripped(l, name) })
}

func isStripped(strips *identity.List, name string) bool {
	if strips == nil {
		return false
	}
	field := http.Header{name: {""}}
	strips.Strip(field)
	return len(field) == 0
}

// canonicalMembers are the members of an object, each as a text that is equal for what means
// the same.
func canonicalMembers(raw json.RawMessage) (members map[string]string) {
	var all map[string]json.RawMessage
	if json.Unmarshal(raw, &all) != nil {
		return nil
	}
	members = make(map[string]string, len(all))
	for name, value := range all {
		members[name] = canonicalJSON(value)
	}
	return members
}

package cases

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/open-tollgate/tollgate/internal/problem"
)

// judge says what is not as expected. What remains in limits is looked at last, where a
// request is repeated.
func (e *Expect) judge(a *Answer, last bool) (differs []string) {
	say := func(format string, args ...any) { differs = append(differs, fmt.Sprintf(format, args...)) }
	for _, name := range a.Met.NotRun {
		say("handler %s is not run here, because it may leave the process: --pass or --run names what to do with it", name)
	}
	differs = append(differs, a.Met.Impossible...)
	if a.Connection != e.Connection {
		say("connection: want %s, got %s", connectionWord(e.Connection), connectionWord(a.Connection))
	}
	if a.Connection != "" {
		return differs
	}
	if e.Connection == "" && a.Status != e.Status {
		say("status: want %d, got %d", e.Status, a.Status)
	}
	if wanted := e.Answered == nil || *e.Answered; wanted != a.Met.Answered && !redirects(a) {
		say("answered: want %t, got %t%s", wanted, a.Met.Answered, map[bool]string{true: " (no rule is for this: Caddy's empty 200)"}[wanted])
	}
	if e.Reason != nil && *e.Reason != a.Reason {
		say("reason: want %s, got %s", word(*e.Reason), word(a.Reason))
	}
	if got := a.problem(); e.Type != "" && e.Type != got && problem.TypeOf(e.Type) != got {
		say("type: want %s, got %s", e.Type, word(got))
	}
	if e.API != nil && *e.API != a.API {
		say("api: want %s, got %s", word(*e.API), word(a.API))
	}
	if e.Forwarded != nil && *e.Forwarded != (len(a.Met.Upstreams) > 0) {
		say("forwarded: want %t, got %t", *e.Forwarded, !*e.Forwarded)
	}
	if e.Upstream != "" && !slices.ContainsFunc(a.Met.Upstreams, func(u string) bool { return isUpstream(u, e.Upstream) }) {
		say("upstream: want %s, got %s", e.Upstream, word(strings.Join(a.Met.Upstreams, " ")))
	}
	if challenge := strings.Join(a.Header.Values("WWW-Authenticate"), ", "); !strings.Contains(challenge, e.Challenge) {
		say("challenge: want %q in it, got %q", e.Challenge, challenge)
	}
	differs = append(differs, fieldsDiffer("header", e.Header, a.Header)...)
	differs = append(differs, fieldsDiffer("header at the service:", e.Service, a.Met.Forwarded)...)
	if last {
		differs = append(differs, e.remains(a)...)
	}
	return differs
}

// redirects says whether Caddy itself has answered, with a redirect to https.
func redirects(a *Answer) bool { return a.Status == http.StatusPermanentRedirect }

// isUpstream compares a service with how a case names it: with or without its scheme.
func isUpstream(got, wanted string) bool {
	_, address, _ := strings.Cut(got, "://")
	return wanted == got || wanted == address
}

func (e *Expect) remains(a *Answer) (differs []string) {
	for _, zone := range slices.Sorted(maps.Keys(e.Remaining)) {
		var lefts []string
		found := false
		for _, z := range a.Met.Zones {
			if z.Zone == zone {
				lefts = append(lefts, strconv.FormatInt(z.Remaining, 10))
				found = found || z.Remaining == int64(e.Remaining[zone])
			}
		}
		switch {
		case len(lefts) == 0:
			differs = append(differs, fmt.Sprintf("remaining: the request is in no zone %s%s", zone, inZones(a)))
		case !found:
			differs = append(differs, fmt.Sprintf("remaining of %s: want %d, got %s", zone, e.Remaining[zone], strings.Join(lefts, " and ")))
		}
	}
	return differs
}

func inZones(a *Answer) string {
	if len(a.Met.Zones) == 0 {
		return ", nor in any other"
	}
	names := make([]string, len(a.Met.Zones))
	for n, z := range a.Met.Zones {
		names[n] = z.Zone
	}
	return ": it is in " + strings.Join(names, ", ")
}

func fieldsDiffer(what string, wanted map[string]*string, got http.Header) (differs []string) {
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		values := got.Values(name)
		switch want := wanted[name]; {
		case want == nil && len(values) > 0:
			differs = append(differs, fmt.Sprintf("%s %s: want none, got %s", what, name, quoted(values)))
		case want != nil && !slices.Contains(values, *want):
			differs = append(differs, fmt.Sprintf("%s %s: want %q, got %s", what, name, *want, quoted(values)))
		}
	}
	return differs
}

// problem is the type of the problem in the answer; empty: there is none.
func (a *Answer) problem() string {
	kind, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	if kind != problem.ContentType {
		return ""
	}
	var document struct {
		Type string `json:"type"`
	}
	_ = json.Unmarshal(a.Body, &document) // none is empty
	return document.Type
}

func word(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func connectionWord(c Connection) string {
	if c == "" {
		return "an answer"
	}
	return string(c)
}

// words tells what is expected.
func (e *Expect) words() (lines []string) {
	add := func(name string, value any) { lines = append(lines, fmt.Sprintf("%s %v", name, value)) }
	if e.Connection != "" {
		add("connection", e.Connection)
	} else {
		add("status", e.Status)
	}
	if e.Reason != nil {
		add("reason", word(*e.Reason))
	}
	if e.Type != "" {
		add("type", e.Type)
	}
	if e.API != nil {
		add("api", word(*e.API))
	}
	if e.Upstream != "" {
		add("upstream", e.Upstream)
	}
	for _, zone := range slices.Sorted(maps.Keys(e.Remaining)) {
		add("remaining of "+zone, e.Remaining[zone])
	}
	return lines
}

// words tells what came.
func (a *Answer) words() (lines []string) {
	if a.Connection != "" {
		return []string{"connection " + string(a.Connection) + ": " + a.Why}
	}
	lines = append(lines, fmt.Sprintf("status %d", a.Status), "reason "+word(a.Reason))
	if kind := a.problem(); kind != "" {
		lines = append(lines, "type "+kind)
	}
	lines = append(lines, "api "+word(a.API))
	if len(a.Met.Upstreams) > 0 {
		lines = append(lines, "forwarded to "+strings.Join(a.Met.Upstreams, " and "))
	}
	for _, z := range a.Met.Zones {
		lines = append(lines, fmt.Sprintf("remaining of %s %d", z.Zone, z.Remaining))
	}
	return lines
}

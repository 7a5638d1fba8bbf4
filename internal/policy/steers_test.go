package policy

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestWhatSteersIsNotPassed: handlers that hand on as a rule can set what decides after
// them.
func TestWhatSteersIsNotPassed(t *testing.T) {
	t.Parallel()
	for handler, unknown := range map[string]bool{
		`{"handler":"vars","a":"b"}`:                                                 false,
		`{"handler":"vars","client_ip":"{http.request.header.X}"}`:                   true,
		`{"handler":"vars","http.auth.user.id":"ada"}`:                               true,
		`{"handler":"vars","{http.request.header.X}":"ada"}`:                         true,
		`{"handler":"map","source":"{path}","destinations":["{a}"]}`:                 false,
		`{"handler":"map","source":"{path}","destinations":["{http.auth.user.id}"]}`: true,
		`{"handler":"intercept"}`:                                                    false,
	} {
		h := (&parser{config: new(Config), server: new(Server)}).handler("", []byte(handler))
		if _, steers := h.(*Steers); steers != unknown {
			t.Errorf("%s: %T", handler, h)
		}
	}
}

// TestCredentialsOfTheConfiguration: whoever gets a token put in by the edge itself is let in
// for what it says, and not for what he has.
func TestCredentialsOfTheConfiguration(t *testing.T) {
	t.Parallel()
	for change, open := range map[string]bool{
		`"set":{"Authorization":["Bearer x"]}`:           true,
		`"set":{"authorization":["{http.request.uri}"]}`: true,
		`"delete":["Auth*"]`:                             true,
		`"add":{"Dpop":["x"]}`:                           true,
		`"set":{"X-Authorization":["Bearer x"]}`:         false,
		`"replace":{"*":[{"search":"a","replace":"b"}]}`: true,
	} {
		c, err := Parse([]byte(edge(`{"handle":[{"handler":"headers","request":{` + change + `}},{"handler":"api","name":"a","routes":[{"handle":[
			{"handler":"access_token"},{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:1"}]}]}]}]}`)))
		if err != nil {
			t.Fatal(err)
		}
		r := Request{Method: "GET", Target: "/", Host: "edge.test", TLS: true}
		for _, o := range c.Evaluate(c.Servers[0], r, &Judge{Now: time.Unix(1e9, 0)}) {
			if got := len(o.Open) > 0; got != open {
				t.Errorf("%s: open: %q", change, o.Open)
			}
		}
	}
}

// TestDiffOfWhatDoesNotLoad: the guard compares before anything has validated the file, so
// a claim without values must not end the edge.
func TestDiffOfWhatDoesNotLoad(t *testing.T) {
	t.Parallel()
	parse := func(values string) *Config {
		c, err := Parse([]byte(edge(`{"handle":[{"handler":"api","name":"a","routes":[{"handle":[{"handler":"access_token"},
			{"handler":"require","claims":{"role":[` + values + `]}},{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:1"}]}]}]}]}`)))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	some, none := parse(`"admin"`), parse(``)
	for _, d := range []*DiffResult{Diff(some, none, time.Unix(1e9, 0)), Diff(none, some, time.Unix(1e9, 0))} {
		if slices.ContainsFunc(d.Cut, func(cut string) bool { return strings.Contains(cut, "failed") }) {
			t.Errorf("cut: %v", d.Cut)
		}
	}
}

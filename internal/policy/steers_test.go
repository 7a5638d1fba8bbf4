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

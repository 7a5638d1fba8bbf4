package policy

import (
	"testing"
	"time"
)

// TestAStatusOfTheRequestIsNotGuessed has error routes take the status that a
// request asks for: no sample of it stands for all.
func TestAStatusOfTheRequestIsNotGuessed(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]string{
		"an error by a parameter": `{"handler":"error","status_code":"{http.request.uri.query.s}"}`,
		"an error by a field":     `{"handler":"error","status_code":"{http.request.header.S}"}`,
		"an error by a variable":  `{"handler":"vars","a":"{http.request.uri.query.s}"},{"handler":"error","status_code":"{http.vars.a}"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			on := func(then string) string {
				return `{"apps":{"http":{"servers":{"srv":{"listen":[":443"],"routes":[` + handle(fails) + `],"errors":{"routes":[{"match":[{"expression":"{http.error.status_code} in [477]"}],"handle":[` + then + `]}]}}}}}}`
			}
			gone, there := on(`{"handler":"static_response","status_code":403}`), on(`{"handler":"reverse_proxy","upstreams":[{"dial":"10.0.0.1:1"}]}`)
			if d := Diff(parsed(t, gone), parsed(t, there), time.Unix(1e9, 0)); d.Complete && !d.Has(Widened) {
				t.Errorf("called equal: %s", changesOf(d))
			}
		})
	}
}

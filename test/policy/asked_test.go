package policy

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/policy"
)

// TestAskedServicesHearIt changes how often a service is asked whose answer is handled. The
// comparison says so, and the service of the real chain hears it.
func TestAskedServicesHearIt(t *testing.T) {
	w := newWorld(t)
	const (
		gone  = `{"handle":[{"handler":"static_response","status_code":410}]}`
		asked = `{"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"UP0"}],"handle_response":[{"routes":[{"handle":[{"handler":"vars","a":"b"}]}]}]}]}`
		told  = `{"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"UP0"}],"handle_response":[{"routes":[{"handle":[{"handler":"copy_response"}]}]}]}]}`
	)
	limit := func(most string) string {
		return `{"handle":[{"handler":"rate_limit","rate_limits":{"z":{"key":"{http.request.remote.host}","max_events":` + most + `,"window":"1m"}}}]}`
	}
	api := func(routes string) []byte {
		return w.server(`{"routes":[{"handle":[{"handler":"api","name":"planted","public":true,"routes":[` + routes + `]}]}]}`)
	}
	for name, c := range map[string]struct {
		before, after []byte
		want          policy.Direction // empty: nothing is another
	}{
		"once more":              {api(asked + "," + gone), api(asked + "," + asked + "," + gone), policy.Widened},
		"once less":              {api(asked + "," + asked + "," + gone), api(asked + "," + gone), policy.Narrowed},
		"once more, and told":    {api(told), api(asked + "," + told), policy.Widened},
		"told, and then as sent": {api(told), api(toFirst), ""},
		"a limit is gone":        {api(limit("2") + "," + asked + "," + gone), api(asked + "," + gone), policy.Widened},
		"a limit is lower":       {api(limit("3") + "," + asked + "," + gone), api(limit("2") + "," + asked + "," + gone), policy.Narrowed},
		"a limit comes later":    {api(limit("2") + "," + asked + "," + gone), api(asked + "," + limit("2") + "," + gone), policy.Widened},
	} {
		replayed, heard := w.replayed, w.asked
		d := w.diff(&generator{Rand: rand.New(rand.NewPCG(1, 1)), number: uint64(time.Now().UnixNano()), upstreams: w.upstreams, keys: w.keys, roots: w.roots}, c.before, c.after)
		if c.want != "" && !d.Has(c.want) {
			t.Errorf("%s: nobody says that it is %s", name, c.want)
		}
		series := slices.ContainsFunc(d.Changes, func(c *policy.Change) bool { return c.Series != nil })
		if c.want == "" && d.Has(policy.Widened) || c.want != "" && w.replayed == replayed && w.asked == heard || series != (w.replayed > replayed) {
			t.Errorf("%s: no service of the real chain hears the difference: %d changes", name, len(d.Changes))
		}
	}
}

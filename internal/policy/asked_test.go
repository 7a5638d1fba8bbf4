package policy

import (
	"strings"
	"testing"
	"time"
)

// TestAServiceIsAskedWhoeverAnswers has services whose answer nobody gets: that they get
// the request is found all the same.
func TestAServiceIsAskedWhoeverAnswers(t *testing.T) {
	t.Parallel()
	asks := func(dial, then string) string {
		return `{"handler":"reverse_proxy","upstreams":[{"dial":"` + dial + `"}],"handle_response":[{"routes":[` + then + `]}]}`
	}
	const gone = `{"handle":[{"handler":"static_response","status_code":410}]}`
	alone := func(handlers string) string { return `{"handle":[` + handlers + `]}` }
	inAPI := func(more string) string {
		return `{"handle":[{"handler":"api","name":"pay","routes":[` + more + `]}]}`
	}
	const bearer = `{"handle":[{"handler":"access_token"}]}`
	pay := asks("127.0.0.1:1", gone)
	for name, test := range map[string]struct {
		before, after string
		widened       bool
		narrowed      bool
	}{
		"by all now":                         {gone, alone(pay), true, false},
		"by nobody any more":                 {alone(pay), gone, false, true},
		"as before":                          {alone(pay), alone(asks("127.0.0.1:1", alone(`{"handler":"static_response","status_code":404}`))), false, false},
		"another one":                        {alone(pay), alone(asks("127.0.0.1:2", gone)), true, true},
		"without a token now":                {inAPI(bearer + "," + alone(pay)), inAPI(alone(pay) + "," + bearer), true, false},
		"its answer was told":                {alone(`{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:1"}]}`), alone(pay), false, true},
		"its answer was told, not that of b": {alone(`{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:1"}]}`), alone(asks("127.0.0.1:2", gone)), true, true},
		"before another that answers":        {gone, alone(asks("127.0.0.1:2", "")) + "," + services, true, false},
		"twice, once without a token": {
			inAPI(bearer + "," + alone(asks("127.0.0.1:1", "")) + "," + services), inAPI(alone(asks("127.0.0.1:1", "")) + "," + bearer + "," + services), true, false,
		},
		"twice, not without a token": {
			inAPI(alone(asks("127.0.0.1:1", "")) + "," + bearer + "," + services), inAPI(bearer + "," + alone(asks("127.0.0.1:1", "")) + "," + services), false, true,
		},
		"once, where a token was needed for it": {
			inAPI(alone(asks("127.0.0.1:1", "")) + "," + bearer + "," + services), inAPI(bearer + "," + services), false, true,
		},
		"behind an intercept": {
			alone(`{"handler":"intercept","handle_response":[{"routes":[`+gone+`]}]}`) + "," + services,
			alone(`{"handler":"intercept","handle_response":[{"routes":[`+alone(asks("127.0.0.1:3", gone))+`]}]}`) + "," + services, true, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := Diff(parsed(t, edge(test.before)), parsed(t, edge(test.after)), time.Unix(1e9, 0))
			if d.Has(Widened) != test.widened || d.Has(Narrowed) != test.narrowed || !d.Complete {
				t.Errorf("complete %v, %s", d.Complete, changesOf(d))
			}
		})
	}
}

func changesOf(d *DiffResult) string {
	var all []string
	for _, c := range d.Changes {
		all = append(all, string(c.Direction)+" "+c.What+": "+c.Old+" -> "+c.New)
	}
	return strings.Join(all, "\n")
}

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
	other := asks("127.0.0.1:2", "")
	limit := func(events string) string {
		return `{"handle":[{"handler":"rate_limit","rate_limits":{"z":{"key":"{http.request.remote.host}","max_events":` + events + `,"window":"1m"}}}]}`
	}
	const told = `{"handler":"copy_response"}`
	const failing = `{"handle":[{"handler":"error","status_code":404}]}`
	small := func(more string) string { return alone(`{"handler":"request_body","max_size":10}`) + "," + more }
	never := asks("127.0.0.1:1", failing)
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
		"once more, without a token": {
			inAPI(bearer + "," + services), inAPI(alone(asks("127.0.0.1:1", "")) + "," + bearer + "," + services), true, false,
		},
		"behind an intercept": {
			alone(`{"handler":"intercept","handle_response":[{"routes":[`+gone+`]}]}`) + "," + services,
			alone(`{"handler":"intercept","handle_response":[{"routes":[`+alone(asks("127.0.0.1:3", gone))+`]}]}`) + "," + services, true, false,
		},
		"behind an intercept that fails": {
			alone(`{"handler":"intercept","handle_response":[{"routes":[`+alone(`{"handler":"error"}`)+`]}]}`) + "," + gone,
			alone(`{"handler":"intercept","handle_response":[{"routes":[`+alone(`{"handler":"error"}`)+`]}]}`) + "," + services, true, false,
		},
		"twice":                           {alone(other) + "," + gone, alone(other) + "," + alone(other) + "," + gone, true, false},
		"once less":                       {alone(other) + "," + alone(other) + "," + gone, alone(other) + "," + gone, false, true},
		"before it answers itself":        {alone(`{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:2"}]}`), alone(other) + "," + alone(`{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:2"}]}`), true, false},
		"its answer was copied":           {alone(asks("127.0.0.1:1", alone(told))), alone(pay), false, true},
		"its answer is copied":            {alone(pay), alone(asks("127.0.0.1:1", alone(told))), true, false},
		"as often as anybody likes":       {limit("5") + "," + alone(pay), alone(pay), true, false},
		"as often as before":              {limit("5") + "," + alone(pay), limit("5") + "," + alone(pay), false, false},
		"more often":                      {limit("5") + "," + alone(pay), limit("6") + "," + alone(pay), true, false},
		"less often":                      {limit("6") + "," + alone(pay), limit("5") + "," + alone(pay), false, true},
		"a limit comes too late":          {limit("5") + "," + alone(other) + "," + services, alone(other) + "," + limit("5") + "," + services, true, false},
		"with a larger body, for nothing": {small(alone(never)), alone(never), true, false},
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

// TestACopiedAnswerIsAskedForOnce has routes that hand on what the service has answered, or
// its fields alone.
func TestACopiedAnswerIsAskedForOnce(t *testing.T) {
	t.Parallel()
	with := func(then string) *Config {
		return parsed(t, edge(`{"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:1"}],"handle_response":[{"routes":[{"handle":[`+then+`]}]}]}]}`))
	}
	const gone = `{"handler":"static_response","status_code":410}`
	c := with(`{"handler":"copy_response"}`)
	o := c.Evaluate(c.Servers[0], Request{Method: "GET", Host: "edge.test", Target: "/"}, nil)[0]
	if o.Kind != Forwarded || len(o.Asked) > 0 {
		t.Errorf("%s, and before that %d services are asked", o.String(), len(o.Asked))
	}
	d := Diff(with(gone), with(`{"handler":"copy_response_headers"},`+gone), time.Unix(1e9, 0))
	if !d.Has(Moved) {
		t.Errorf("the fields of the service's answer are handed out, and nobody says so: %s", changesOf(d))
	}
	c = with(gone)
	if o = c.Evaluate(c.Servers[0], Request{Method: "GET", Host: "edge.test", Target: "/"}, nil)[0]; len(c.MayAlso(&o)) != 1 {
		t.Errorf("where the service does not answer, nobody says what is answered: %v", c.MayAlso(&o))
	}
}

// TestRefusalsTellWhatTheEdgeKnows has answers that let nobody in, and have a secret of the
// edge's in them.
func TestRefusalsTellWhatTheEdgeKnows(t *testing.T) {
	t.Parallel()
	say := func(text string) string {
		return `{"handle":[{"handler":"vars","x":"{file./etc/key}"}]},{"handle":[{"handler":"static_response","status_code":404,` + text + `}]}`
	}
	caught := func(text string) string {
		return `{"handle":[{"handler":"subroute","routes":[{"handle":[{"handler":"error","status_code":404}]}],"errors":{"routes":[` + say(text) + `]}}]}`
	}
	api := func(routes string) string {
		return `{"handle":[{"handler":"api","name":"pay","public":true,"routes":[` + routes + `]}]}`
	}
	const plainly = `"body":"{http.request.host}"`
	for name, test := range map[string]struct {
		before, after string
		want          Direction // empty: neither is wider
	}{
		"where nothing was":    {"", say(`"body":"{env.KEY}"`), Widened},
		"where nothing is":     {say(`"body":"{env.KEY}"`), "", Narrowed},
		"in an api":            {api(""), api(say(`"body":"{env.KEY}"`)), Widened},
		"another one":          {say(`"body":"{env.A}"`), say(`"body":"{env.B}"`), Widened},
		"a file":               {"", say(`"body":"{file./etc/passwd}"`), Widened},
		"a field":              {"", say(`"headers":{"X-A":["{env.KEY}"]}`), Widened},
		"by way of a variable": {"", say(`"body":"{http.vars.x}"`), Widened},
		"for an error":         {caught(plainly), caught(`"body":"{env.KEY}"`), Widened},
		"as before":            {say(`"body":"{env.KEY}"`), api(say(`"body":"{env.KEY}"`)), ""},
		"what the caller said": {"", say(plainly), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := Diff(parsed(t, edge(test.before)), parsed(t, edge(test.after)), time.Unix(1e9, 0))
			if d.Has(Widened) != (test.want == Widened) || test.want != "" && !d.Has(test.want) {
				t.Errorf("want %q: %s", test.want, changesOf(d))
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

// TestAServiceIsAskedBeforeAnError tells of the service behind an answer that an error has replaced.
func TestAServiceIsAskedBeforeAnError(t *testing.T) {
	t.Parallel()
	for _, fails := range []string{
		`{"handler":"error"}`,
		`{"handler":"subroute","routes":[{"handle":[{"handler":"error"}]}],"errors":{"routes":[{"handle":[{"handler":"vars","a":"b"}]}]}}`,
	} {
		c := parsed(t, edge(handle(`{"handler":"intercept","handle_response":[{"routes":[`+handle(fails)+`]}]}`)+","+services))
		o := c.Evaluate(c.Servers[0], Request{Method: "GET", Host: "a.test", Target: "/", TLS: true}, nil)[0]
		asked := o.Reaches() && o.Sent != nil
		for _, a := range o.Asked {
			asked = asked || a.Sent != nil && len(a.Upstreams) > 0
		}
		if !asked {
			t.Errorf("nobody is asked: %+v", o)
		}
	}
}

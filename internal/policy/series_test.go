package policy

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// limited is an edge with one API that has these zones.
func limited(zones string) string {
	return site(get, token+`{"handle":[{"handler":"rate_limit","rate_limits":{`+zones+`}}]},`+services)
}

// TestLimitsAreCompared changes limits, and wants the direction and the requests that show it.
func TestLimitsAreCompared(t *testing.T) {
	t.Parallel()
	zone := func(options string) string { return `"z":{` + options + `}` }
	const minute, hour = `"key":"{http.auth.client.id}","window":"1m","max_events":600`, `"key":"{http.auth.client.id}","window":"1h","max_events":600`
	tests := map[string]struct {
		before, after string
		want          []Direction
		series        string // of the first change; empty: none
	}{
		"the same":                   {zone(minute), zone(`"kind":"sliding","empty_key":"deny",` + minute), nil, ""},
		"renamed":                    {zone(minute), strings.Replace(zone(minute), `"z"`, `"y"`, 1), nil, ""},
		"more":                       {zone(minute), zone(`"key":"{http.auth.client.id}","window":"1m","max_events":700`), []Direction{Widened}, "601 times"},
		"less":                       {zone(minute), zone(`"key":"{http.auth.client.id}","window":"1m","max_events":7`), []Direction{Narrowed}, "8 times"},
		"a shorter window":           {zone(hour), zone(minute), []Direction{Widened}, "600 times, and after 1m15s 1 times more"},
		"a tenth in a tenth":         {zone(minute), zone(`"key":"{http.auth.client.id}","window":"6s","max_events":60`), []Direction{Narrowed}, "61 times"},
		"apart":                      {zone(minute), zone(strings.Replace(minute, "id}", "id} {http.auth.user.id}", 1)), []Direction{Widened}, "601 times, each with another user"},
		"addresses apart":            {zone(`"key":"{http.vars.client_ip}","ipv4_prefix":24,"window":"1m","max_events":5`), zone(`"key":"{http.vars.client_ip}","window":"1m","max_events":5`), []Direction{Widened}, "6 times, each with another address"},
		"networks of a field apart":  {zone(`"key":"{http.request.header.X-Caller-At}","ipv4_prefix":24,"window":"1m","max_events":5`), zone(`"key":"{http.request.header.X-Caller-At}","window":"1m","max_events":5`), []Direction{Widened}, ""},
		"by header":                  {zone(minute), zone(strings.Replace(minute, "{http.auth.client.id}", "{http.request.header.X-App}", 1)), []Direction{Narrowed, Widened}, "601 times, each with another client"},
		"shadow":                     {zone(minute), zone(`"shadow":true,` + minute), []Direction{Widened}, "601 times"},
		"gone from shadow":           {zone(`"shadow":true,` + minute), `"y":{` + hour + `,"shadow":true}`, nil, ""},
		"costs less":                 {zone(`"cost":{"value":"3"},` + minute), zone(minute), []Direction{Widened}, "201 times"},
		"slots":                      {zone(`"kind":"concurrency","key":"all","max_events":5`), zone(`"kind":"concurrency","key":"all","max_events":6`), []Direction{Widened}, "6 times at once"},
		"a burst":                    {zone(`"kind":"gcra","burst":5,` + minute), zone(`"kind":"gcra","burst":9,` + minute), []Direction{Widened}, "6 times"},
		"a pace":                     {zone(`"kind":"gcra","burst":5,` + hour), zone(`"kind":"gcra","burst":5,` + minute), []Direction{Widened}, "5 times, and after 125ms 1 times more"},
		"open while Redis is away":   {zone(minute), zone(`"on_failure":"open",` + minute), []Direction{Widened}, ""},
		"closed while Redis is away": {zone(minute), zone(`"on_failure":"closed",` + minute), []Direction{Narrowed}, ""},
		"nobody's is shared":         {zone(strings.Replace(minute, "{http.auth.client.id}", "{http.request.header.X-App}", 1)), zone(`"empty_key":"skip",` + strings.Replace(minute, "{http.auth.client.id}", "{http.request.header.X-App}", 1)), []Direction{Widened}, ""},
		"the other one still holds":  {zone(minute) + `,"y":{"key":"all","window":"1m","max_events":5}`, zone(strings.Replace(minute, "600", "700", 1)) + `,"y":{"key":"all","window":"1m","max_events":5}`, nil, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, after := parsed(t, limited(test.before)), parsed(t, limited(test.after))
			d := Diff(before, after, time.Unix(1e9, 0))
			for _, direction := range test.want {
				if !d.Has(direction) {
					t.Errorf("not %s", direction)
				}
			}
			if len(test.want) == 0 && len(d.Changes) > 0 {
				t.Errorf("%+v", d.Changes[0])
			}
			if test.series == "" {
				return
			}
			got := ""
			for _, c := range d.Changes {
				if c.Direction == test.want[0] && c.Series != nil && strings.HasPrefix(c.What, "limit ") {
					got = c.Series.String()
				}
			}
			if got != test.series {
				t.Errorf("%q, want %q", got, test.series)
				for _, c := range d.Changes {
					t.Logf("%s %s: %s %s %v sent %v", c.Direction, c.What, c.Method, c.URL, c.Header, c.Series)
				}
			}
		})
	}
}

func parsed(t *testing.T, config string) *Config {
	t.Helper()
	c, err := Parse([]byte(config))
	if err != nil {
		t.Fatalf("%v\n%s", err, config)
	}
	return c
}

// TestAShortWindowMayHoldALongOne: what a window and a number come to in any length of time.
func TestAShortWindowMayHoldALongOne(t *testing.T) {
	t.Parallel()
	minute := &Zone{Kind: sliding, MaxEvents: 600, Window: Duration(time.Minute)}
	for events, want := range map[int64]bool{1: true, 9: true, 10: true, 11: false, 600: false} {
		z := &Zone{Kind: sliding, MaxEvents: events, Window: Duration(time.Second)}
		if got := z.slower(minute); got != want {
			t.Errorf("%d a second hold 600 a minute: %v, want %v", events, got, want)
		}
	}
	odd := &Zone{Kind: sliding, MaxEvents: 2, Window: Duration(7 * time.Second)}
	for events, want := range map[int64]bool{1: true, 2: false} { // 2 in 4 s are 4 in 4 s and a moment
		z := &Zone{Kind: sliding, MaxEvents: events, Window: Duration(4 * time.Second)}
		if got := z.slower(odd); got != want {
			t.Errorf("%d in 4s hold 2 in 7s: %v, want %v", events, got, want)
		}
	}
}

func TestFurtherAddresses(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]netip.Addr{
		"10.0.1.4":        further(netip.MustParseAddr("10.0.0.254"), 6, 0, 0),
		"10.2.0.7":        further(netip.MustParseAddr("10.0.0.7"), 2, 2, 8),
		"2001:db8:0:3::1": further(netip.MustParseAddr("2001:db8::1"), 3, 2, 8),
	} {
		if got.String() != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
}

package policy

import (
	"strings"
	"testing"
	"time"
)

// TestLimitsThatCountApart has limits that are as strict as before for each request, and
// let more in all the same.
func TestLimitsThatCountApart(t *testing.T) {
	t.Parallel()
	const five = `"key":"{http.auth.client.id}","window":"1m","max_events":5}`
	limit := func(zones string) string { return `{"handler":"rate_limit","rate_limits":{` + zones + `}}` }
	both := func(get, post string) string {
		return site("", token+`{"match":[{"method":["GET"]}],"handle":[`+limit(get)+`]},{"match":[{"not":[{"method":["GET"]}]}],"handle":[`+limit(post)+`]},`+services)
	}
	api := func(name, path string) string {
		return `{"match":[{"path":["` + path + `"]}],"terminal":true,"handle":[{"handler":"api","name":"` + name + `","routes":[` + token + `{"handle":[` + limit(`"z":{`+five) + `]},` + services + `]}]}`
	}
	together := both(`"z":{`+five, `"z":{`+five)
	for name, test := range map[string]struct {
		before, after string
		apart         bool
	}{
		"by name":             {together, both(`"z":{`+five, `"y":{`+five), true},
		"by matcher":          {together, site("", token+handle(limit(`"r":{"match":[{"method":["GET"]}],`+five+`,"w":{"match":[{"not":[{"method":["GET"]}]}],`+five))+","+services), true},
		"by API":              {edge(api("a", "/*")), edge(api("b", "/b/*") + "," + api("a", "/*")), true},
		"in the same place":   {together, site("", token+handle(limit(`"z":{`+five))+","+services), false},
		"renamed in both":     {together, both(`"y":{`+five, `"y":{`+five), false},
		"one that holds both": {together, site("", token+handle(limit(`"all":{"key":"all","window":"1m","max_events":5},"r":{"match":[{"method":["GET"]}],`+five))+","+services), false},
	} {
		before, after := parsed(t, test.before), parsed(t, test.after)
		forth, back := Diff(before, after, time.Unix(1e9, 0)), Diff(after, before, time.Unix(1e9, 0))
		told := func(d *DiffResult, direction Direction, words string) bool {
			for _, c := range d.Changes {
				if c.Direction == direction && strings.Contains(c.What, words) && c.Method != "" {
					return true
				}
			}
			return false
		}
		if told(forth, Widened, "counts apart") != test.apart {
			t.Errorf("%s: %s", name, compact(forth.Changes))
		}
		if told(back, Narrowed, "counts together") != test.apart {
			t.Errorf("%s, back: %s", name, compact(back.Changes))
		}
	}
}

package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestARuleNeedsWhatIsOnItsWay tells what holds for a rule from what is asked on another one's way.
func TestARuleNeedsWhatIsOnItsWay(t *testing.T) {
	t.Parallel()
	operation := func(method, scope string) string {
		return `{"group":"g","match":[{"method":["` + method + `"]}],"handle":[{"handler":"subroute","routes":[{"handle":[{"handler":"require","scopes":["` + scope + `"]},{"handler":"reverse_proxy"}]}]}]}`
	}
	conditional := `{"match":[{"method":["PUT"]}],"handle":[{"handler":"require","scopes":["c"]}]},`
	c, err := Parse([]byte(site("", token+conditional+operation("GET", "a")+","+operation("POST", "b"))))
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"scope c where method PUT", "scope a"}, {"scope c where method PUT", "scope b"}}
	for n, r := range c.Rules() {
		if !slices.Equal(r.Requires, want[n]) {
			t.Errorf("rule %d needs %q, want %q", n, r.Requires, want[n])
		}
	}
}

// TestRulesAreBounded has named routes that invoke the next one twice each: the ways through
// forty of them are more than any memory holds, and what is not listed is said.
func TestRulesAreBounded(t *testing.T) {
	t.Parallel()
	var named []string
	for n := range 40 {
		invoke := fmt.Sprintf(`"handle":[{"handler":"invoke","name":"r%d"}]`, n+1)
		named = append(named, fmt.Sprintf(`"r%d":{"handle":[{"handler":"subroute","routes":[{"match":[{"path":["/x"]}],%s},{"match":[{"path":["/y"]}],%s}]}]}`, n, invoke, invoke))
	}
	named = append(named, `"r40":{"match":[{"path":["/z"]}],"handle":[{"handler":"static_response"}]}`)
	c, err := Parse([]byte(with(`{"handle":[{"handler":"invoke","name":"r0"}]}`, `"listen":[":443"],"named_routes":{`+strings.Join(named, ",")+`}`, `"audiences":["a"]`, "")))
	if err != nil {
		t.Fatal(err)
	}
	rules := c.Rules()
	if len(rules) > maxRoutes {
		t.Errorf("%d rules", len(rules))
	}
	if report := NewReport(c); !slices.ContainsFunc(report.Open, func(open string) bool { return strings.Contains(open, "is not listed") }) {
		t.Errorf("not said: %q", report.Open)
	}
	if last := Lint(c, LintOptions{}); !slices.ContainsFunc(last, func(f Finding) bool {
		return f.Check == "outside-api" && strings.Contains(f.Message, "more ways than are looked at")
	}) {
		t.Error("the lint passes what it has not looked at")
	}
}

// TestALongWayIsNoRefusal goes through more named routes than the model follows: the edge,
// which follows them all, lets in what comes after.
func TestALongWayIsNoRefusal(t *testing.T) {
	t.Parallel()
	way := strings.Repeat(`{"handle":[{"handler":"invoke","name":"on"}]},`, maxInvoked+1)
	parse := func(answer string) *Config {
		t.Helper()
		c, err := Parse([]byte(with(way+answer, `"listen":["127.0.0.1:443"],"tls_connection_policies":[{}],"named_routes":{"on":{"handle":[{"handler":"vars","a":"b"}]}}`, `"audiences":["a"]`, "")))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	closed, open := parse(`{"handle":[{"handler":"static_response","status_code":403}]}`), parse(services)
	if d := Diff(closed, open, moment(1e9)); !d.Opens() {
		t.Errorf("what lets everybody in is no wider: %s", compact(d))
	}
	var b strings.Builder
	e := Explanation{Outcomes: open.Evaluate(open.Servers[0], Request{Method: "GET", Host: "h", Target: "/", TLS: true}, &Judge{Now: moment(1e9)})}
	if err := e.WriteText(&b); err != nil || !strings.Contains(b.String(), "after a thousand named routes") {
		t.Errorf("%v %s", err, b.String())
	}
}

package policy

import (
	"slices"
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

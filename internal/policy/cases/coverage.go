package cases

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-tollgate/tollgate/internal/policy"
)

// Coverage is which rules of a policy the cases have shown at work: each that lets
// requests on once doing so, and each that can refuse once refusing.
type Coverage struct {
	Rules []*Rule
	byID  map[string]*Rule
}

// Rule is one of them.
type Rule struct {
	*policy.Place
	Passed, Refused bool
	answers         bool // an API has something in it that answers
}

// NewCoverage begins with nothing shown.
func NewCoverage(c *policy.Config) *Coverage {
	cover := &Coverage{byID: make(map[string]*Rule)}
	for _, p := range c.Places() {
		r := &Rule{Place: p}
		cover.Rules, cover.byID[p.ID] = append(cover.Rules, r), r
		if p.Kind == policy.OfRoute && p.API != "" {
			cover.byID["api "+p.API].answers = true
		}
	}
	return cover
}

// passes says whether a request can get past the rule at all.
func (r *Rule) passes() bool { return r.Kind != policy.OfAPI || r.answers }

// own are the refusals of an api itself, and not of what is in it.
var own = []string{"method_not_allowed", "path_not_canonical", "not_found", "bad_request", "audit_unavailable"}

// add counts an answer.
func (c *Coverage) add(a *Answer) {
	for _, id := range a.Met.Reached {
		r := c.byID[id]
		if r == nil {
			continue
		}
		switch r.Kind {
		case policy.OfRoute:
			r.Passed = true
			if api := c.byID["api "+r.API]; r.API != "" && api != nil {
				api.Passed = true
			}
		case policy.OfAPI:
			refused := a.API == r.API && a.Met.RefusedBy == "" && slices.Contains(own, a.Reason)
			r.Refused = r.Refused || refused
		default:
			r.Passed = r.Passed || a.Met.Passed[id]
			r.Refused = r.Refused || a.Met.RefusedBy == id
		}
	}
	for _, z := range a.Met.Zones {
		if r := c.byID[policy.ZoneID(z.API, z.Zone)]; r != nil {
			r.Passed, r.Refused = r.Passed || z.Counted, r.Refused || z.Refused
		}
	}
}

// Shown counts what is shown, of how much there is.
func (c *Coverage) Shown() (shown, all int) {
	for _, r := range c.Rules {
		for _, way := range [][2]bool{{r.passes(), r.Passed}, {r.Refuses(), r.Refused}} {
			if way[0] {
				all++
			}
			if way[0] && way[1] {
				shown++
			}
		}
	}
	return shown, all
}

// Percent is the part that is shown, rounded down; of nothing, all.
func (c *Coverage) Percent() float64 {
	shown, all := c.Shown()
	if all == 0 {
		return 100
	}
	return float64(shown*1000/all) / 10
}

// Missing names what is not shown.
func (c *Coverage) Missing() (lines []string) {
	for _, r := range c.Rules {
		var ways []string
		if r.passes() && !r.Passed {
			ways = append(ways, map[bool]string{true: "never reached", false: "never passed"}[r.Kind == policy.OfRoute])
		}
		if r.Refuses() && !r.Refused {
			ways = append(ways, "never refused")
		}
		if len(ways) > 0 {
			lines = append(lines, fmt.Sprintf("%s: %s", r.name(), strings.Join(ways, ", ")))
		}
	}
	return lines
}

func (r *Rule) name() string {
	text := r.What
	if r.API != "" && r.Kind != policy.OfAPI {
		text = "api " + r.API + ": " + text
	}
	if r.When != "" {
		text += " where " + r.When
	}
	return text
}

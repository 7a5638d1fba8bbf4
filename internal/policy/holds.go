package policy

import (
	"slices"
	"strings"
	"time"
)

// equals says whether two zones are written alike, whatever their names.
func (z *Zone) equals(other *Zone) bool {
	a, b := *z, *other
	return a.Kind == b.Kind && a.Key == b.Key && a.Window == b.Window && a.Period == b.Period && a.MaxEvents == b.MaxEvents &&
		a.most() == b.most() && a.EmptyKey == b.EmptyKey && a.IPv4Prefix == b.IPv4Prefix && a.IPv6Prefix == b.IPv6Prefix &&
		onFailureRank(a.OnFailure) == onFailureRank(b.OnFailure) && a.Shadow == b.Shadow && setsText(a.Match) == setsText(b.Match) && a.Cost.equals(b.Cost)
}

func (c *Cost) equals(other *Cost) bool {
	if c == nil || other == nil {
		return c == other
	}
	return c.Value == other.Value && c.Response == other.Response && (c.Default == nil) == (other.Default == nil) &&
		(c.Default == nil || *c.Default == *other.Default)
}

// holds says whether whoever keeps to this zone keeps to the other one, too, for a request
// that is in both: then the other one may go, and nothing is wider.
func (z *Zone) holds(other *Zone) bool {
	switch {
	case z.Shadow && !other.Shadow, z.Kind != other.Kind, z.Period != other.Period:
		return false
	case onFailureRank(z.OnFailure) < onFailureRank(other.OnFailure):
		return false
	case z.EmptyKey != other.EmptyKey && z.EmptyKey != emptyDeny && other.EmptyKey != emptySkip:
		return false
	case orElse(other.IPv4Prefix, wholeIPv4) < orElse(z.IPv4Prefix, wholeIPv4), orElse(other.IPv6Prefix, defaultIPv6) < orElse(z.IPv6Prefix, defaultIPv6):
		return false
	}
	return z.coarser(other) && z.Cost.atLeast(other.Cost) && z.slower(other)
}

// coarser says whether all callers that the other one counts together count together here.
func (z *Zone) coarser(other *Zone) bool {
	return !slices.ContainsFunc(z.named, func(p string) bool { return !slices.Contains(other.named, p) })
}

// atLeast says whether each request costs as much as it does there.
func (c *Cost) atLeast(other *Cost) bool {
	if c.equals(other) {
		return true
	}
	mine, fixed := c.fixed()
	theirs, fixedThere := other.fixed()
	return fixed && fixedThere && mine >= theirs
}

func (c *Cost) fixed() (n int64, ok bool) {
	switch {
	case c == nil:
		return 1, true
	case c.Response != "":
		return 0, false
	case c.Value == "":
		return 1, true
	default:
		return units(c.Value)
	}
}

// maxSteps bounds how far two windows are held to each other.
const maxSteps = 100_000

// slower says whether no length of time lets more through than it does there.
func (z *Zone) slower(other *Zone) bool {
	if z.most() > other.most() {
		return false
	}
	if z.Kind == gcra {
		return z.interval() >= other.interval()
	}
	if z.Kind != sliding || z.Window >= other.Window {
		return true // in one window of this one, there are fewer than in one of the other
	}
	// In any time of k windows and a moment, k+1 windows' events. A shorter window that has
	// a smaller number may hold the longer one all the same: 10 a second, and 600 a minute.
	steps := int64(other.Window / gcd(z.Window, other.Window))
	if steps > maxSteps || float64(z.MaxEvents)*float64(other.Window) > float64(other.MaxEvents)*float64(z.Window) {
		return false
	}
	for k := range steps {
		if z.MaxEvents*(k+1) > other.MaxEvents*(k*int64(z.Window)/int64(other.Window)+1) {
			return false
		}
	}
	return true
}

func gcd(a, b Duration) Duration {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// interval is the time in which one unit of a paced zone comes back.
func (z *Zone) interval() time.Duration {
	if z.MaxEvents == 0 {
		return 0
	}
	micros := time.Duration(z.Window).Microseconds()
	return time.Duration((micros+z.MaxEvents-1)/z.MaxEvents) * time.Microsecond
}

// onFailureRank is the higher the less passes while Redis is away.
func onFailureRank(choice string) int {
	switch choice {
	case "open":
		return 0
	case "closed":
		return 2
	default: // share
		return 1
	}
}

// loosened tells the zones that nothing in the other list holds, and what became of them.
func loosened(strict, other []*Zone, gone string) string {
	var texts []string
	for _, z := range strict {
		if z.Shadow || slices.ContainsFunc(other, func(o *Zone) bool { return o.holds(z) }) {
			continue
		}
		text := z.String() + " " + gone
		if n := slices.IndexFunc(other, func(o *Zone) bool { return o.Name == z.Name }); n >= 0 {
			text = z.String() + ", against " + other[n].String()
		}
		texts = append(texts, text)
	}
	return strings.Join(unique(texts), "; ")
}

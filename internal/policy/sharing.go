package policy

import (
	"slices"
	"strings"
)

// Limits of one name in an API count together, wherever they are, and others apart. So a
// limit can be as strict as before for each request and let twice as many in: where two
// are made of one. No single request shows it.

// family is what zones have in common that count together.
func (z *Zone) family(api *API) string {
	name := ""
	if api != nil {
		name = api.Name
	}
	return strings.Join([]string{name, z.Name, z.Kind, z.within(), z.Key}, "\x00")
}

// holders are the families that a limit was held by in the other configuration, for all
// requests so far.
type holders struct {
	families []string
	told     bool
}

// sharing keeps which limits hold those of the other configuration, and tells where it is
// not the same one for all requests.
func (d *differ) sharing(r *Request, was, is *Outcome) {
	d.held(Widened, r, was, is, was.zones, is.zones)
	d.held(Narrowed, r, was, is, is.zones, was.zones)
}

func (d *differ) held(direction Direction, r *Request, was, is *Outcome, zones, others []*Zone) {
	for _, z := range zones {
		if families := z.heldBy(others); !z.Shadow && len(families) > 0 && d.apart(string(direction)+z.counts, families) {
			what := " counts apart what it has counted together"
			if direction == Narrowed {
				what = " counts together what was counted apart"
			}
			d.add(direction, r, d.common(was, is), was, is, is, "limit "+z.String()+what)
		}
	}
}

func (z *Zone) heldBy(others []*Zone) (families []string) {
	for _, o := range others {
		if !o.Shadow && o.holds(z) {
			families = append(families, o.counts)
		}
	}
	return families
}

// apart says whether no family is left that has held the limit each time, once.
func (d *differ) apart(key string, families []string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.holders[key]
	if before == nil {
		d.holders[key] = &holders{families: families}
		return false
	}
	before.families = slices.DeleteFunc(before.families, func(f string) bool { return !slices.Contains(families, f) })
	if len(before.families) > 0 || before.told {
		return false
	}
	before.told = true
	return true
}

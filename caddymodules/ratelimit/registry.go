package ratelimit

import (
	"cmp"
	"errors"
	"slices"
	"sync"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
)

// zonesOf are the zones of each configuration, for the admin API. The modules of that
// API are not told of the handlers there are, and get no Cleanup.
var zonesOf = registry{zones: make(map[*tollgate.App][]*Zone)}

type registry struct {
	mu    sync.Mutex
	zones map[*tollgate.App][]*Zone
}

func (r *registry) add(app *tollgate.App, zones []*Zone) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.zones[app] = append(r.zones[app], zones...)
}

func (r *registry) remove(app *tollgate.App, zones []*Zone) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.zones[app] = slices.DeleteFunc(r.zones[app], func(z *Zone) bool { return slices.Contains(zones, z) })
	if len(r.zones[app]) == 0 {
		delete(r.zones, app)
	}
}

// of gives the zones of a configuration by name, each once: Caddy repeats a site's
// routes for each of its listeners.
func (r *registry) of(app *tollgate.App) []*Zone {
	r.mu.Lock()
	zones := slices.Clone(r.zones[app])
	r.mu.Unlock()
	slices.SortStableFunc(zones, func(a, b *Zone) int {
		return cmp.Or(cmp.Compare(a.api, b.api), cmp.Compare(a.name, b.name),
			cmp.Compare(a.kind(), b.kind()), cmp.Compare(a.Window, b.Window), cmp.Compare(a.Period, b.Period))
	})
	return slices.CompactFunc(zones, func(a, b *Zone) bool {
		return a.api == b.api && a.name == b.name && a.kind() == b.kind() && a.Window == b.Window && a.Period == b.Period
	})
}

var (
	errNoZone   = errors.New("there is no zone of that name")
	errWhichAPI = errors.New("several APIs have a zone of that name: say which")
)

// find gives the zones of a name: several where they differ in what they count. api may
// be left out where only one API has the name.
func (r *registry) find(app *tollgate.App, api *string, name string) ([]*Zone, error) {
	zones := r.of(app)
	zones = slices.DeleteFunc(zones, func(z *Zone) bool { return z.name != name || api != nil && z.api != *api })
	switch {
	case len(zones) == 0:
		return nil, errNoZone
	case zones[0].api != zones[len(zones)-1].api:
		return nil, errWhichAPI
	}
	return zones, nil
}

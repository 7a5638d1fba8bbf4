package policy

// Counter is one count of a zone.
type Counter struct {
	API    string `json:"api,omitempty"`
	Zone   string `json:"zone"`
	Key    string `json:"key"`
	Events int64  `json:"events"`
	Within string `json:"within"`
	Cost   int64  `json:"cost"`
	Shadow bool   `json:"shadow,omitempty"`
	// Remaining is what is left in it, where somebody counts.
	Remaining int64 `json:"-"`

	zone *Zone
	id   string // of the count: one limit, one caller
}

// Counts counts requests that come one after the other, at one moment: no window is over
// before the last of them.
type Counts map[string]int64

// take counts a request in all of the counters, or in none and names a full one. What is
// answered before the next request comes holds no slot of a concurrency limit.
func (c Counts) take(counters []Counter) (zone string, over bool) {
	if c == nil {
		return "", false
	}
	for _, k := range counters {
		if !k.Shadow && !c.fits(k) && !over {
			zone, over = k.Zone, true
		}
	}
	for n := range counters {
		k := &counters[n]
		used := c[k.id]
		if fits := c.fits(*k); fits && !over {
			used += k.Cost
		}
		if k.Remaining = max(k.zone.most()-used, 0); k.zone.Kind != concurrency {
			c[k.id] = used
		}
	}
	return zone, over
}

func (c Counts) fits(k Counter) bool { return c[k.id]+k.Cost <= k.zone.most() }

package jwks

import (
	"maps"
	"time"
)

// What strangers can cause with key ids that do not exist.
const (
	burst    = 2
	interval = 30 * time.Second
	// missTTL is how long an id that the issuer does not have is not asked for again.
	missTTL = 30 * time.Second
)

// misses bounds the fetches that unknown key ids cause: a token bucket for all of
// them together, and a short memory so that one id cannot empty the bucket.
type misses struct {
	tokens float64
	filled time.Time
	gone   map[string]time.Time // until when an id is known to be missing
}

func newMisses() misses {
	return misses{tokens: burst, gone: make(map[string]time.Time)}
}

// allow takes a token from the bucket.
func (m *misses) allow(now time.Time) bool {
	if !m.filled.IsZero() {
		m.tokens = min(burst, m.tokens+max(0, now.Sub(m.filled).Seconds())/interval.Seconds())
	}
	m.filled = now
	if m.tokens < 1 {
		return false
	}
	m.tokens--
	return true
}

func (m *misses) known(id string, now time.Time) bool {
	until, ok := m.gone[id]
	return ok && now.Before(until)
}

// note remembers that the issuer does not have the id. Only ids that caused a
// fetch get here, so the bucket bounds the memory as well.
func (m *misses) note(id string, now time.Time) {
	maps.DeleteFunc(m.gone, func(_ string, until time.Time) bool { return !now.Before(until) })
	m.gone[id] = now.Add(missTTL)
}

package outbox

import "sync"

// standing is what the last try has shown of an endpoint. Each has its own share
// of the tries under way: endpoints that are down, however many, and however long
// each lets a try wait, take nothing from those that answer.
type standing int

const (
	unknown standing = iota // none since this process began
	proven                  // it took the event
	failing                 // it did not
	standings
)

var (
	// perEndpoint bounds the tries under way to one endpoint. A failing one is
	// asked with a single try at a time whether it is back.
	perEndpoint = [standings]int{unknown: 1, proven: 4, failing: 1}
	// inAll bounds those to all endpoints of a standing.
	inAll = [standings]int{unknown: 32, proven: 64, failing: 32}
)

// maxStandings bounds the endpoints whose standing is known. Clients add and remove
// endpoints as they like, and nobody tells of those that are gone.
const maxStandings = 100_000

// share counts the tries under way. It is safe for concurrent use.
type share struct {
	mu    sync.Mutex
	of    map[string]standing // unknown ones are left out
	busy  map[string]int      // by endpoint
	total [standings]int      // by the standing at the start of the try
}

func newShare() *share { return &share{of: make(map[string]standing), busy: make(map[string]int)} }

// free gives how many more tries an endpoint may have under way.
func (s *share) free(endpoint string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	as := s.of[endpoint]
	return max(0, min(perEndpoint[as]-s.busy[endpoint], inAll[as]-s.total[as]))
}

// take counts a try until done is called with what became of it.
func (s *share) take(endpoint string) (done func(delivered bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	as := s.of[endpoint]
	s.total[as]++
	s.busy[endpoint]++
	return func(delivered bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.total[as]--
		if s.busy[endpoint]--; s.busy[endpoint] == 0 {
			delete(s.busy, endpoint)
		}
		if len(s.of) >= maxStandings {
			clear(s.of) // each is asked anew with its next try
		}
		s.of[endpoint] = failing
		if delivered {
			s.of[endpoint] = proven
		}
	}
}

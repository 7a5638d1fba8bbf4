package outbox

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
)

// Endpoints that are down, and more of them than there may be tries under way, let
// every try hang. One that answers, and one that is new, are told all the same.
func TestEndpointsThatAreDownCostNobodyElseAnything(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		release := make(chan struct{})
		var hanging atomic.Int64
		var hang atomic.Bool
		dead := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if hang.Load() {
				hanging.Add(1)
				<-release
			}
			w.WriteHeader(http.StatusInternalServerError)
		}))
		defer dead.Close()
		defer close(release)
		quick := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		defer quick.Close()

		all := 0
		for _, bound := range inAll {
			all += bound
		}
		for i := range all + 10 {
			p.endpoint("dead", fmt.Sprintf("%s/%d", dead.URL, i))
		}
		p.endpoint("quick", quick.URL)
		p.publish("dead", 1)
		p.publish("quick", 1)
		d, _ := p.start()
		p.await(1, delivered)
		p.await(all+10, tried+` AND state = 'pending'`, 1)
		hang.Store(true)
		p.publish("dead", 3)
		d.Wake()
		for p.await(1, delivered); hanging.Load() < int64(inAll[failing]); {
			p.await(1, delivered)
		}
		p.endpoint("new", quick.URL+"/new")
		p.publish("quick", 20)
		p.publish("new", 20)
		d.Wake()
		p.await(41, delivered)
		if n := hanging.Load(); n != int64(inAll[failing]) {
			t.Errorf("%d tries wait for endpoints that are down, want %d", n, inAll[failing])
		}
	})
}

func TestShare(t *testing.T) {
	t.Parallel()
	s := newShare()
	if got := s.free("a"); got != perEndpoint[unknown] {
		t.Errorf("a new endpoint may have %d tries", got)
	}
	done := s.take("a")
	if got := s.free("a"); got != 0 {
		t.Errorf("a second try of a new endpoint: %d", got)
	}
	done(true)
	var tries []func(bool)
	for range perEndpoint[proven] {
		tries = append(tries, s.take("a"))
	}
	if got := s.free("a"); got != 0 {
		t.Errorf("beyond its share: %d", got)
	}
	for _, done := range tries {
		done(false)
	}
	if got := s.free("a"); got != perEndpoint[failing] {
		t.Errorf("a failing endpoint may have %d tries", got)
	}
	for i := range inAll[unknown] {
		s.take(fmt.Sprint("new ", i))
	}
	if s.free("one more") != 0 || s.free("a") != perEndpoint[failing] {
		t.Error("the shares are not apart")
	}
	if len(s.busy) != inAll[unknown] {
		t.Errorf("%d endpoints are counted as busy", len(s.busy))
	}
}

// Endpoints that come and go do not fill the memory.
func TestStandingsAreBounded(t *testing.T) {
	t.Parallel()
	s := newShare()
	for i := range 2 * maxStandings {
		s.take(strconv.Itoa(i))(true)
	}
	if len(s.of) > maxStandings || len(s.busy) != 0 {
		t.Errorf("%d standings, %d busy", len(s.of), len(s.busy))
	}
	if s.free(strconv.Itoa(2*maxStandings-1)) != perEndpoint[proven] {
		t.Error("the latest is forgotten")
	}
}

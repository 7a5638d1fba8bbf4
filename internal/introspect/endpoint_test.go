package introspect_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/token"
)

// TestEndpointIsDiscovered has metadata that comes late, moves and goes away.
func TestEndpointIsDiscovered(t *testing.T) {
	t.Parallel()
	clock := &clock{at: noon}
	var path atomic.Pointer[string] // where the metadata says to ask; nil: no metadata
	var lookups, atOld, atNew atomic.Int32
	var server *httptest.Server
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		lookups.Add(1)
		to := path.Load()
		if to == nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": server.URL, "introspection_endpoint": server.URL + *to})
	})
	answer := func(count *atomic.Int32) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			count.Add(1)
			answering(encode(t, description(map[string]any{"exp": clock.now().Add(time.Minute).Unix()})))(w, r)
		}
	}
	mux.HandleFunc("/old", answer(&atOld))
	mux.HandleFunc("/new", answer(&atNew))
	server = httptest.NewServer(mux)
	defer server.Close()

	config := settings(t, "")
	config.Issuer.URL, config.Now = server.URL, clock.now
	c := newClient(t, config)
	expect := func(when, raw string, want token.Reason, times [3]int32) {
		t.Helper()
		if got := verify(t, c, raw); got != want {
			t.Errorf("%s: reason %q", when, got)
		}
		if got := [3]int32{lookups.Load(), atOld.Load(), atNew.Load()}; got != times {
			t.Errorf("%s: looked up, asked at the old place and at the new %v times", when, got)
		}
	}
	expect("without metadata", "1", token.IntrospectionUnavailable, [3]int32{1, 0, 0})
	expect("at once again", "2", token.IntrospectionUnavailable, [3]int32{1, 0, 0})
	old, fresh := "/old", "/new"
	path.Store(&old)
	clock.add(time.Second)
	if err := c.Prepare(t.Context()); err != nil {
		t.Error(err)
	}
	expect("with metadata", "3", "", [3]int32{2, 1, 0})
	expect("another", "4", "", [3]int32{2, 2, 0})

	beginning, end := context.WithCancel(t.Context())
	end() // a reload ends the configuration that has just begun to look it up
	reloaded := newClient(t, config)
	if err := reloaded.Prepare(beginning); err == nil {
		t.Error("looked up for a configuration that has ended")
	}
	if got := verify(t, reloaded, "6"); got != "" {
		t.Errorf("at once after a reload: %q", got)
	}
	atOld.Add(-1)

	path.Store(nil)
	clock.add(time.Hour)
	if got := verify(t, c, "5"); got != "" || atOld.Load() != 3 {
		t.Errorf("while it cannot be looked up: %q", got)
	}
	path.Store(&fresh)
	for n := 0; atNew.Load() == 0; n++ { // it is looked up beside the questions
		clock.add(time.Second)
		if got := verify(t, c, fmt.Sprint("later ", n)); got != "" {
			t.Fatalf("while it is looked up: %q", got)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestReportOfQuestions(t *testing.T) {
	t.Parallel()
	down := new(atomic.Bool)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		answering(encode(t, description(map[string]any{"active": r.FormValue("token") != "bad"})))(w, r)
	})
	config := settings(t, s.url)
	answered := make(map[bool]int)
	config.Report = func(yes bool) { answered[yes]++ }
	c := newClient(t, config)
	for _, raw := range []string{"good", "good", "bad", "bad"} {
		verify(t, c, raw)
	}
	down.Store(true)
	verify(t, c, "other")
	if answered[true] != 2 || answered[false] != 1 {
		t.Errorf("%v", answered)
	}
}

package limits

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// recorder is the backend of all nodes. What reaches it has been admitted.
type recorder struct {
	server *httptest.Server

	mu       sync.Mutex
	admitted map[string][]span // by limit and key
	total    int
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{admitted: make(map[string][]span)}
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)
	return r
}

// ServeHTTP writes the arrival down.
func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	arrived := clock()
	sent, err := strconv.ParseInt(req.Header.Get(sentHeader), 10, 64)
	if err != nil {
		http.Error(w, "no time of sending", http.StatusBadRequest)
		return
	}
	name := strings.TrimPrefix(req.URL.Path, "/") + " " + req.Header.Get("Client")
	r.mu.Lock()
	r.admitted[name] = append(r.admitted[name], span{time.Duration(sent), arrived})
	r.total++
	r.mu.Unlock()
	w.Header().Set("Content-Length", "0")
}

// of gives what was admitted of a key since it was last asked for.
func (r *recorder) of(limit, key string) []span {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := limit + " " + key
	spans := r.admitted[name]
	delete(r.admitted, name)
	return spans
}

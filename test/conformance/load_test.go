package conformance

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// strict is set by `make issuers`: full loads, and the numbers that a machine with
// something else to do cannot be held to.
var strict = os.Getenv("TOLLGATE_STRICT") != ""

// pick gives the one value in the suite and the other to `make issuers`.
func pick[T any](usual, whenStrict T) T {
	if strict {
		return whenStrict
	}
	return usual
}

// keepAlive gives a client with one connection of HTTP/1.1 that stays open.
func keepAlive(t *testing.T, roots *x509.CertPool) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, MaxConnsPerHost: 1}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// status sends a request and gives the status of its answer; 0 when there is none.
func status(client *http.Client, url, token string) int {
	r, err := http.NewRequest(http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(r)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return response.StatusCode
}

// load sends requests at a steady rate, spread over connections that stay open.
type load struct {
	begin   time.Time
	sent    atomic.Int64
	refused atomic.Int64 // not 200
	other   atomic.Int64 // the status of one of them
	done    chan struct{}
	workers sync.WaitGroup

	phase atomic.Int32 // 0 or 1; whose times a request counts among
	mu    sync.Mutex
	times [2][]time.Duration
}

// startLoad has token give each request's, and url where it goes.
func startLoad(t *testing.T, roots *x509.CertPool, perSecond, connections int, url, token func(n int64) string) *load {
	t.Helper()
	l := &load{begin: time.Now(), done: make(chan struct{})}
	every := time.Second * time.Duration(connections) / time.Duration(perSecond)
	for range connections {
		client := keepAlive(t, roots)
		client.Transport.(*http.Transport).MaxConnsPerHost = 0
		l.workers.Go(func() {
			tick := time.NewTicker(every)
			defer tick.Stop()
			for {
				select {
				case <-l.done:
					return
				case <-tick.C:
				}
				n := l.sent.Add(1)
				begin, phase := time.Now(), l.phase.Load()
				if got := status(client, url(n), token(n)); got != http.StatusOK {
					l.refused.Add(1)
					l.other.Store(int64(got))
				}
				if l.phase.Load() == phase { // else it belongs to neither
					l.took(phase, time.Since(begin))
				}
			}
		})
	}
	return l
}

func (l *load) took(phase int32, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times[phase] = append(l.times[phase], d)
}

// forget drops the times so far.
func (l *load) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times = [2][]time.Duration{}
}

// stop ends the load and gives what it came to.
func (l *load) stop() (perSecond float64, times [2][]time.Duration) {
	close(l.done)
	l.workers.Wait()
	for _, times := range l.times {
		slices.Sort(times)
	}
	return float64(l.sent.Load()) / time.Since(l.begin).Seconds(), l.times
}

func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}

// always gives the same each time.
func always(text string) func(int64) string { return func(int64) string { return text } }

// inTurn gives one after the other.
func inTurn(texts ...string) func(int64) string {
	return func(n int64) string { return texts[int(n)%len(texts)] }
}

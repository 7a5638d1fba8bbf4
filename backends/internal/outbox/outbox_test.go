package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/databasetest"
	"github.com/open-tollgate/tollgate/backends/internal/vault"
	"github.com/open-tollgate/tollgate/backends/internal/webhook"
)

// post is a service with an outbox, and a clock that the test moves.
type post struct {
	t     *testing.T
	db    *database.DB
	vault *vault.Vault
	clock atomic.Int64
}

// fresh gives databases of the payments service.
var fresh = databasetest.TemplateOf("payments", os.DirFS("../../payments"))

func forEach(t *testing.T, test func(*post)) {
	t.Helper()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		v, err := vault.Load(filepath.Join(t.TempDir(), "key"), "webhooks")
		if err != nil {
			t.Fatal(err)
		}
		p := &post{t: t, db: fresh.Open(t, dsn), vault: v}
		p.clock.Store(time.Now().UnixMicro())
		test(p)
	})
}

func (p *post) now() time.Time          { return time.UnixMicro(p.clock.Load()) }
func (p *post) advance(d time.Duration) { p.clock.Add(d.Microseconds()) }

func (p *post) endpoint(client, url string) Endpoint {
	p.t.Helper()
	e, err := AddEndpoint(p.t.Context(), p.db, p.vault, client, url, false, p.now())
	if err != nil {
		p.t.Fatal(err)
	}
	return e
}

func (p *post) publish(client string, n int) {
	p.t.Helper()
	err := p.db.InTx(p.t.Context(), func(tx *sql.Tx) error {
		for range n {
			err := Publish(p.t.Context(), tx, p.db.Dialect, Event{Client: client, Type: "payment.succeeded", Subject: "s", Data: map[string]int{"n": 1}}, p.now())
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// start runs a dispatcher until the test, or the returned function, ends it.
func (p *post) start() (d *Dispatcher, stop func()) {
	p.t.Helper()
	return p.startWith(p.vault, nil)
}

func (p *post) startWith(v *vault.Vault, tried func(string)) (d *Dispatcher, stop func()) {
	p.t.Helper()
	d = NewDispatcher(Config{
		DB: p.db, Vault: v, Sender: webhook.NewSender(true, p.now), Now: p.now, Tried: tried,
		Logger: slog.New(slog.DiscardHandler), Schedule: []time.Duration{5 * time.Second, time.Minute},
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := d.Run(ctx); err != nil {
			p.t.Error(err)
		}
	}()
	stop = func() {
		cancel()
		<-ended
	}
	p.t.Cleanup(stop)
	return d, stop
}

// next waits for the result of a try. A try is noted by then.
func (p *post) next(results <-chan string) string {
	p.t.Helper()
	select {
	case result := <-results:
		return result
	case <-time.After(15 * time.Second):
		p.t.Fatal("nothing was tried")
		return ""
	}
}

// await waits until the query gives want.
func (p *post) await(want int, query string, args ...any) {
	p.t.Helper()
	var got int
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err := p.db.QueryRow(query, args...).Scan(&got); err != nil {
			p.t.Fatal(err)
		}
		if got == want {
			return
		}
	}
	p.t.Fatalf("%s: %d, want %d", query, got, want)
}

const (
	delivered = `SELECT count(*) FROM webhook_deliveries WHERE state = 'delivered'`
	failed    = `SELECT count(*) FROM webhook_deliveries WHERE state = 'failed'`
	// tried counts deliveries whose tries have been noted, by their number.
	tried = `SELECT count(*) FROM webhook_deliveries WHERE attempts = $1 AND last_status <> 0`
)

func TestEventsReachTheClientsEndpointsSigned(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		var mu sync.Mutex
		var secret string
		seen := make(map[string]int)
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body) // a body that ended early does not verify
			mu.Lock()
			defer mu.Unlock()
			receiver, err := standardwebhooks.NewWebhook(secret)
			if err != nil {
				t.Error(err)
				return
			}
			if err := receiver.Verify(body, r.Header); err != nil {
				t.Error(err)
			}
			var said struct {
				Type      string
				Timestamp time.Time
				Data      map[string]int
			}
			if err := json.Unmarshal(body, &said); err != nil || said.Type != "payment.succeeded" || said.Timestamp.IsZero() || said.Data["n"] != 1 {
				t.Errorf("got %s, %v", body, err)
			}
			seen[r.Header.Get(standardwebhooks.HeaderWebhookID)]++
		}))
		defer server.Close()
		p.publish("shop", 1) // nobody listens yet
		mu.Lock()
		secret = p.endpoint("shop", server.URL).Secret
		mu.Unlock()
		p.endpoint("other", server.URL+"/not-for-the-shop")
		p.publish("shop", 5)
		d, _ := p.start()
		d.Wake()
		p.await(5, delivered)
		mu.Lock()
		defer mu.Unlock()
		if len(seen) != 5 {
			t.Errorf("%d events arrived, want 5", len(seen))
		}
	})
}

func TestRetriesFollowTheScheduleUnderOneID(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		var ids sync.Map
		var calls atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ids.Store(r.Header.Get("webhook-id"), true)
			calls.Add(1)
			w.WriteHeader(http.StatusFound) // 3xx is a failure
		}))
		defer server.Close()
		p.endpoint("shop", server.URL)
		p.publish("shop", 1)
		results := make(chan string, 3)
		d, _ := p.startWith(p.vault, func(result string) { results <- result })
		for attempt, wait := range []time.Duration{0, 6 * time.Second, 70 * time.Second} {
			p.advance(wait)
			d.Wake()
			if result := p.next(results); result != "refused" {
				t.Errorf("try %d: %s", attempt+1, result)
			}
		}
		p.await(1, failed)
		count := 0
		ids.Range(func(any, any) bool { count++; return true })
		if count != 1 || calls.Load() != 3 {
			t.Errorf("%d ids in %d calls", count, calls.Load())
		}
	})
}

func TestNothingIsSentBeforeItsTime(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		q := &queue{db: p.db, now: p.now}
		e := p.endpoint("shop", "http://localhost:1/")
		p.publish("shop", 1)
		jobs, err := q.claim(t.Context(), e.ID, 4)
		if err != nil || len(jobs) != 1 {
			t.Fatalf("%d jobs, %v", len(jobs), err)
		}
		if err := q.note(t.Context(), e.ID, jobs[0], result{state: "pending", due: p.now().Add(5 * time.Second)}); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			wait time.Duration
			due  int
		}{{0, 0}, {4 * time.Second, 0}, {time.Second, 1}} {
			p.advance(step.wait)
			if targets, err := q.due(t.Context()); err != nil || len(targets) != step.due {
				t.Errorf("after %v: %d due, %v", step.wait, len(targets), err)
			}
		}
	})
}

func TestGoneTurnsTheEndpointOff(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) }))
		defer server.Close()
		e := p.endpoint("shop", server.URL)
		p.publish("shop", 1)
		p.start()
		p.await(1, failed)
		p.await(1, `SELECT count(*) FROM webhook_endpoints WHERE disabled_reason = 'gone'`)
		p.publish("shop", 1)
		p.await(1, `SELECT count(*) FROM webhook_deliveries`)
		if _, err := AddEndpoint(t.Context(), p.db, p.vault, "shop", e.URL, true, p.now()); err != nil {
			t.Fatal(err)
		}
		p.await(0, `SELECT count(*) FROM webhook_endpoints WHERE disabled_at IS NOT NULL`)
	})
}

func TestABusyEndpointIsLeftAlone(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		var status atomic.Int64
		status.Store(http.StatusServiceUnavailable)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "600")
			w.WriteHeader(int(status.Load()))
		}))
		defer server.Close()
		p.endpoint("shop", server.URL)
		p.publish("shop", 1)
		d, _ := p.start()
		p.await(1, tried, 1)
		p.publish("shop", 1) // a new one waits as well
		status.Store(http.StatusOK)
		p.advance(590 * time.Second)
		if targets, err := d.queue.due(t.Context()); err != nil || len(targets) != 0 {
			t.Errorf("%d due while it rests, %v", len(targets), err)
		}
		p.advance(20 * time.Second)
		d.Wake()
		p.await(2, delivered)
	})
}

func TestASlowEndpointDelaysNobodyElse(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		release := make(chan struct{})
		var waiting atomic.Int64
		slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			waiting.Add(1)
			<-release
		}))
		defer slow.Close()
		quick := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		defer quick.Close()
		p.endpoint("slow", slow.URL)
		p.endpoint("quick", quick.URL)
		p.publish("slow", 20)
		p.publish("quick", 20)
		p.start()
		p.await(20, delivered)
		if n := waiting.Load(); n > int64(perEndpoint[unknown]) {
			t.Errorf("%d requests at once to one endpoint", n)
		}
		close(release)
		p.await(40, delivered)
	})
}

func TestInstancesShareTheWork(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		var calls atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
		defer server.Close()
		p.endpoint("shop", server.URL)
		p.publish("shop", 40)
		p.start()
		p.start()
		p.await(40, delivered)
		if calls.Load() != 40 {
			t.Errorf("%d calls for 40 events", calls.Load())
		}
	})
}

func TestWhatADeadWorkerHeldIsSentAgain(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		defer server.Close()
		e := p.endpoint("shop", server.URL)
		p.publish("shop", 1)
		q := &queue{db: p.db, now: p.now}
		claim := func(want int) (j job) {
			t.Helper()
			jobs, err := q.claim(t.Context(), e.ID, 1)
			if err != nil || len(jobs) != want {
				t.Fatalf("%d jobs, want %d: %v", len(jobs), want, err)
			}
			if want > 0 {
				j = jobs[0]
			}
			return j
		}
		slow := claim(1)
		claim(0) // leased
		p.advance(lease)
		claim(1)
		// The first worker was only slow: what it notes now is not for it to say.
		if err := q.note(t.Context(), e.ID, slow, result{state: "failed", due: p.now()}); err != nil {
			t.Fatal(err)
		}
		p.await(0, failed)
		p.advance(lease)
		p.start()
		p.await(1, delivered)
	})
}

func TestStoppingFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		reached, release := make(chan struct{}), make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(reached)
			<-release
		}))
		defer server.Close()
		p.endpoint("shop", server.URL)
		p.publish("shop", 1)
		_, stop := p.start()
		<-reached
		stopped := make(chan struct{})
		go func() {
			stop()
			close(stopped)
		}()
		close(release)
		<-stopped
		p.await(1, delivered)
	})
}

// Without the right key nothing is sent, and nothing counts as a try.
func TestTheWrongKeyUsesUpNoTries(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		defer server.Close()
		p.endpoint("shop", server.URL)
		p.publish("shop", 3)
		wrong, err := vault.Load(filepath.Join(t.TempDir(), "key"), "webhooks")
		if err != nil {
			t.Fatal(err)
		}
		results := make(chan string, 8)
		d, stop := p.startWith(wrong, func(result string) { results <- result })
		for range len(Schedule) / 2 {
			if result := p.next(results); result != "unsigned" {
				t.Errorf("counted as %s", result)
			}
			p.advance(2 * lease)
			d.Wake()
		}
		stop()
		p.await(3, `SELECT count(*) FROM webhook_deliveries WHERE attempts = 0 AND state = 'pending'`)
		p.start()
		p.await(3, delivered)
	})
}

func TestAddEndpoint(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		add := func(url string, replace bool) (Endpoint, error) {
			return AddEndpoint(t.Context(), p.db, p.vault, "shop", url, replace, p.now())
		}
		first, err := add("https://shop.example/a", false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := add("https://shop.example/a", false); !errors.Is(err, ErrExists) {
			t.Errorf("twice: %v", err)
		}
		if _, err := add("http://10.0.0.1/", false); err == nil {
			t.Error("a plain http URL was taken")
		}
		again, err := add("https://shop.example/a", true)
		if err != nil || again.ID != first.ID || again.Secret == first.Secret {
			t.Errorf("replaced: %v, %v", again.ID == first.ID, err)
		}
		if _, err := add("https://shop.example/b", true); err != nil {
			t.Fatal(err)
		}
		p.await(1, `SELECT count(*) FROM webhook_endpoints WHERE disabled_at IS NULL`)
		var sealed []byte
		if err := p.db.QueryRow(`SELECT secret FROM webhook_endpoints WHERE id = $1`, first.ID).Scan(&sealed); err != nil {
			t.Fatal(err)
		}
		if plain, err := p.vault.Open(first.ID, sealed); err != nil || webhook.FormatSecret(plain) != again.Secret {
			t.Errorf("the stored secret is another one: %v", err)
		}
	})
}

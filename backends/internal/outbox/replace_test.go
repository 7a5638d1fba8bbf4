package outbox

import (
	"database/sql"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// replace makes url the client's only endpoint.
func (p *post) replace(client, url string) Endpoint {
	p.t.Helper()
	e, err := AddEndpoint(p.t.Context(), p.db, p.vault, client, url, true, p.now())
	if err != nil {
		p.t.Fatal(err)
	}
	return e
}

const waitingAt = `SELECT count(*) FROM webhook_deliveries WHERE state = 'pending' AND attempts = 0 AND endpoint_id = $1`

func TestReplacingRedirectsWhatIsOnItsWay(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		var calls atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
		defer server.Close()
		first := p.endpoint("shop", "http://localhost:1/a")
		p.endpoint("shop", "http://localhost:1/b")
		other := p.endpoint("other", "http://localhost:1/")
		p.publish("shop", 3)
		p.publish("other", 1)
		q := &queue{db: p.db, now: p.now}
		tried, err := q.claim(t.Context(), first.ID, 2)
		if err != nil || len(tried) != 2 {
			t.Fatalf("%d jobs, %v", len(tried), err)
		}
		if err := q.note(t.Context(), first.ID, tried[0], result{state: "delivered", due: p.now()}); err != nil {
			t.Fatal(err)
		}
		moved := p.replace("shop", server.URL)
		p.await(3, waitingAt, moved.ID) // each event once, though two endpoints waited for it
		p.await(1, waitingAt, other.ID)
		p.await(3, waitingAt, p.replace("shop", server.URL).ID) // nothing more to move

		// What was under way to the old endpoint says nothing of the new one, though
		// it carries the number of a first try.
		if _, err := q.claim(t.Context(), moved.ID, 3); err != nil {
			t.Fatal(err)
		}
		if err := q.note(t.Context(), first.ID, tried[1], result{state: "failed", due: p.now()}); err != nil {
			t.Fatal(err)
		}
		p.await(0, failed)
		p.advance(lease)
		p.start()
		p.await(3, `SELECT count(*) FROM webhook_deliveries WHERE state = 'delivered' AND endpoint_id = $1`, moved.ID)
		if calls.Load() != 3 {
			t.Errorf("%d calls", calls.Load())
		}
	})
}

func TestReplacingSkipsWhatTheNewEndpointHas(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		p.endpoint("shop", "http://localhost:1/old")
		kept := p.endpoint("shop", "http://localhost:1/new")
		p.publish("shop", 2)
		if again := p.replace("shop", kept.URL); again.ID != kept.ID {
			t.Errorf("the endpoint's id changed")
		}
		p.await(2, waitingAt, kept.ID)
		p.await(4, `SELECT count(*) FROM webhook_deliveries`)
	})
}

// An event that commits while an endpoint is being replaced goes to the new one.
func TestReplacingMissesNoEventOfTheMoment(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		p.endpoint("shop", "http://localhost:1/old")
		replaced := make(chan error, 1)
		err := p.db.InTx(t.Context(), func(tx *sql.Tx) error {
			if err := Publish(t.Context(), tx, p.db.Dialect, Event{Client: "shop", Type: "x", Subject: "s"}, p.now()); err != nil {
				return err
			}
			go func() {
				_, err := AddEndpoint(t.Context(), p.db, p.vault, "shop", "http://localhost:1/new", true, p.now())
				replaced <- err
			}()
			select {
			case err := <-replaced: // it did not wait for this transaction
				replaced <- err
			case <-time.After(300 * time.Millisecond):
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := <-replaced; err != nil {
			t.Fatal(err)
		}
		p.await(1, `SELECT count(*) FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.endpoint_id
			WHERE d.state = 'pending' AND e.url = 'http://localhost:1/new'`)
	})
}

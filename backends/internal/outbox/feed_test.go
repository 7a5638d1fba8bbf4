package outbox

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/open-tollgate/tollgate/backends/internal/database"
)

func (p *post) feed() Feed { return Feed{DB: p.db, Now: p.now} }

// placeAll gives every event its place.
func (p *post) placeAll() {
	p.t.Helper()
	for more := true; more; {
		var err error
		if more, err = place(p.t.Context(), p.db); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *post) events(client, after string, n int) []Told {
	p.t.Helper()
	list, err := p.feed().List(p.t.Context(), client, after, Filter{}, n)
	if err != nil {
		p.t.Fatal(err)
	}
	return list
}

func TestTheFeed(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		p.publish("shop", 3)
		p.publish("other", 2)
		if got := p.events("shop", "", 10); len(got) != 0 {
			t.Errorf("%d events without a place", len(got))
		}
		p.placeAll()
		p.publish("shop", 2)
		p.placeAll()
		var seen []string
		for after := ""; ; {
			page := p.events("shop", after, 2)
			if len(page) == 0 {
				break
			}
			for _, e := range page {
				seen = append(seen, e.ID)
				if e.Type != "payment.succeeded" || e.Subject != "s" || string(e.Data) != `{"n":1}` || e.CreatedAt.IsZero() {
					t.Errorf("%+v", e)
				}
			}
			after = page[len(page)-1].ID
		}
		if len(seen) != 5 {
			t.Errorf("%d events, want 5", len(seen))
		}
		for filter, want := range map[Filter]int{
			{Type: "payment.succeeded"}: 5, {Type: "payment.failed"}: 0, {Subject: "s"}: 5, {Subject: "t", Type: "payment.succeeded"}: 0,
		} {
			if got, err := p.feed().List(t.Context(), "shop", "", filter, 10); err != nil || len(got) != want {
				t.Errorf("%+v: %d events, %v", filter, len(got), err)
			}
		}
		theirs := p.events("other", "", 10)
		if _, err := p.feed().List(t.Context(), "shop", theirs[0].ID, Filter{}, 10); !errors.Is(err, ErrCursor) {
			t.Errorf("behind somebody else's event: %v", err)
		}
		if _, _, err := p.feed().Get(t.Context(), "shop", theirs[0].ID); !errors.Is(err, ErrNotFound) {
			t.Errorf("somebody else's event: %v", err)
		}
	})
}

// An event whose transaction commits late has an id before those that a reader has
// seen. It must still come to him. SQLite has one writer: there is no such event.
func TestNoEventTurnsUpBehindAReader(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		if p.db.Dialect != database.Postgres {
			return
		}
		late, err := p.db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = late.Rollback() }()
		e := Event{Client: "shop", Type: "payment.late", Subject: "s", Data: 1}
		if err := Publish(t.Context(), late, p.db.Dialect, e, p.now()); err != nil {
			t.Fatal(err)
		}
		p.publish("shop", 2)
		p.placeAll()
		seen := p.events("shop", "", 10)
		if len(seen) != 2 {
			t.Fatalf("%d events", len(seen))
		}
		if err := late.Commit(); err != nil {
			t.Fatal(err)
		}
		p.placeAll()
		behind := p.events("shop", seen[1].ID, 10)
		if len(behind) != 1 || behind[0].Type != "payment.late" {
			t.Fatalf("%+v", behind)
		}
		if behind[0].ID > seen[0].ID {
			t.Error("this test proves nothing: the late event has the later id")
		}
	})
}

// Several instances give places at once, while events are published: each event
// has one, and none is given twice.
func TestPlacesAreGivenOnce(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		ctx, stop := context.WithCancel(t.Context())
		var workers sync.WaitGroup
		for range 3 {
			workers.Go(func() {
				for ctx.Err() == nil {
					if _, err := place(t.Context(), p.db); err != nil {
						t.Error(err)
					}
				}
			})
		}
		p.publish("shop", 60)
		stop()
		workers.Wait()
		p.placeAll()
		p.await(60, `SELECT count(DISTINCT position) FROM events`)
		p.await(60, `SELECT MAX(position) FROM events`)
		p.await(60, `SELECT last FROM event_position`)
	})
}

func TestRedelivery(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		var mu sync.Mutex
		arrived := make(map[string]int) // by path and id
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			arrived[r.URL.Path+" "+r.Header.Get("webhook-id")]++
		}))
		defer server.Close()
		f, g := p.feed(), p.registry()
		p.publish("shop", 1)
		p.placeAll()
		id := p.events("shop", "", 1)[0].ID
		if err := f.Redeliver(t.Context(), "shop", id, ""); !errors.Is(err, ErrNoEndpoint) {
			t.Errorf("without endpoint: %v", err)
		}
		first, _ := p.add("shop", server.URL+"/first")
		second, _ := p.add("shop", server.URL+"/second")
		foreign, _ := p.add("other", server.URL+"/foreign")
		d, _ := p.start()
		redeliver := func(endpoint string, want int) {
			t.Helper()
			if err := f.Redeliver(t.Context(), "shop", id, endpoint); err != nil {
				t.Fatal(err)
			}
			d.Wake()
			sum := func() (n int) {
				mu.Lock()
				defer mu.Unlock()
				for _, times := range arrived {
					n += times
				}
				return n
			}
			for sum() < want {
				p.await(0, `SELECT count(*) FROM webhook_deliveries WHERE state = 'failed'`)
			}
			p.await(0, `SELECT count(*) FROM webhook_deliveries WHERE state = 'pending'`)
		}
		redeliver(first.ID, 1) // it was published before the endpoint was there
		redeliver("", 3)
		redeliver(second.ID, 4)
		mu.Lock()
		if arrived["/first "+id] != 2 || arrived["/second "+id] != 2 {
			t.Errorf("%v", arrived)
		}
		mu.Unlock()
		_, deliveries, err := f.Get(t.Context(), "shop", id)
		if err != nil || len(deliveries) != 2 || deliveries[0].State != "delivered" || deliveries[0].LastStatus != 200 || deliveries[0].FinishedAt.IsZero() {
			t.Errorf("%+v %v", deliveries, err)
		}
		if _, err := g.Update(t.Context(), "shop", first.ID, Change{Enabled: ptr(false)}, seenAny); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			client, id, endpoint string
			want                 error
		}{
			"turned off":            {"shop", id, first.ID, ErrDisabled},
			"somebody's endpoint":   {"shop", id, foreign.ID, ErrNotFound},
			"somebody else's event": {"other", id, "", ErrNotFound},
			"no such event":         {"shop", strings.Repeat("0", 36), "", ErrNotFound},
		} {
			if err := f.Redeliver(t.Context(), c.client, c.id, c.endpoint); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestBacklog(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		if b, err := ReadBacklog(t.Context(), p.db, p.now()); err != nil || b != (Backlog{}) {
			t.Errorf("%+v %v", b, err)
		}
		e, _ := p.add("shop", "http://localhost:1/")
		p.publish("shop", 3)
		p.advance(90e9)
		if b, err := ReadBacklog(t.Context(), p.db, p.now()); err != nil || b.Waiting != 3 || b.Oldest.Seconds() != 90 {
			t.Errorf("%+v %v", b, err)
		}
		if err := p.db.InTx(t.Context(), func(tx *sql.Tx) error { return disable(t.Context(), tx, e.ID, disabledGone, p.now()) }); err != nil {
			t.Fatal(err)
		}
		if b, err := ReadBacklog(t.Context(), p.db, p.now()); err != nil || b.Waiting != 0 {
			t.Errorf("%+v %v", b, err)
		}
	})
}

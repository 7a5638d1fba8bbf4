package outbox

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func (p *post) registry() *Registry { return &Registry{DB: p.db, Vault: p.vault, Now: p.now} }

// add adds an endpoint the way a client does.
func (p *post) add(client, url string) (Registration, string) {
	p.t.Helper()
	r, secret, err := p.registry().Add(p.t.Context(), client, url)
	if err != nil {
		p.t.Fatal(err)
	}
	return r, secret
}

func seenAny(Registration) error { return nil }

func ptr[T any](v T) *T { return &v }

func TestEndpointsBelongToTheirClients(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		g := p.registry()
		mine, secret := p.add("shop", "https://shop.example/a")
		theirs, _ := p.add("other", "https://shop.example/a")
		if raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_")); err != nil || len(raw) != 32 {
			t.Errorf("secret %s", secret)
		}
		if got, err := g.Get(t.Context(), "shop", mine.ID); err != nil || got != mine || !got.Enabled() || got.Version != 1 {
			t.Errorf("%+v %v", got, err)
		}
		for name, err := range map[string]error{
			"get":    func() error { _, err := g.Get(t.Context(), "shop", theirs.ID); return err }(),
			"update": func() error { _, err := g.Update(t.Context(), "shop", theirs.ID, Change{}, seenAny); return err }(),
			"remove": g.Remove(t.Context(), "shop", theirs.ID),
			"rotate": func() error { _, _, err := g.Rotate(t.Context(), "shop", theirs.ID, 0); return err }(),
		} {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("%s of somebody else's: %v", name, err)
			}
		}
		if _, _, err := g.Add(t.Context(), "shop", "https://shop.example/a"); !errors.Is(err, ErrExists) {
			t.Errorf("the same URL again: %v", err)
		}
		for i := range MaxEndpoints - 1 {
			p.add("shop", fmt.Sprintf("https://shop.example/%d", i))
		}
		if _, _, err := g.Add(t.Context(), "shop", "https://shop.example/more"); !errors.Is(err, ErrTooMany) {
			t.Errorf("one too many: %v", err)
		}
		all, err := g.List(t.Context(), "shop", "", 100)
		if err != nil || len(all) != MaxEndpoints || all[0] != mine {
			t.Errorf("%d endpoints, %v", len(all), err)
		}
		if behind, err := g.List(t.Context(), "shop", all[3].ID, 2); err != nil || len(behind) != 2 || behind[0] != all[4] {
			t.Errorf("%+v %v", behind, err)
		}
	})
}

func TestChangingAnEndpoint(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		g := p.registry()
		var paths sync.Map
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { paths.Store(r.URL.Path, true) }))
		defer server.Close()
		e, _ := p.add("shop", server.URL+"/old")
		p.add("shop", server.URL+"/taken")
		refusal := errors.New("not seen")
		if _, err := g.Update(t.Context(), "shop", e.ID, Change{Enabled: ptr(false)}, func(Registration) error { return refusal }); !errors.Is(err, refusal) {
			t.Errorf("got %v", err)
		}
		if _, err := g.Update(t.Context(), "shop", e.ID, Change{URL: ptr(server.URL + "/taken")}, seenAny); !errors.Is(err, ErrExists) {
			t.Errorf("a URL that is taken: %v", err)
		}
		p.publish("shop", 1)
		off, err := g.Update(t.Context(), "shop", e.ID, Change{Enabled: ptr(false)}, seenAny)
		if err != nil || off.Enabled() || off.DisabledReason != disabledByClient || off.Version != 2 {
			t.Fatalf("%+v %v", off, err)
		}
		d, _ := p.start()
		p.await(1, delivered) // to the other one
		p.publish("shop", 1)  // not for an endpoint that is off
		d.Wake()
		p.await(2, delivered)
		on, err := g.Update(t.Context(), "shop", e.ID, Change{URL: ptr(server.URL + "/new"), Enabled: ptr(true)}, seenAny)
		if err != nil || !on.Enabled() || on.URL != server.URL+"/new" {
			t.Fatalf("%+v %v", on, err)
		}
		d.Wake()
		p.await(3, delivered) // what had been waiting
		if _, old := paths.Load("/old"); old {
			t.Error("sent to the old URL")
		}
		if _, moved := paths.Load("/new"); !moved {
			t.Error("not sent to the new URL")
		}
	})
}

func TestRemovingAnEndpoint(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		g := p.registry()
		e, _ := p.add("shop", "http://localhost:1/")
		p.publish("shop", 2)
		if _, _, err := g.Rotate(t.Context(), "shop", e.ID, time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := g.Remove(t.Context(), "shop", e.ID); err != nil {
			t.Fatal(err)
		}
		p.publish("shop", 1)
		if err := Purge(t.Context(), p.db, p.now()); err != nil {
			t.Fatal(err)
		}
		for query, want := range map[string]int{
			`SELECT count(*) FROM webhook_deliveries`: 0, `SELECT count(*) FROM webhook_old_secrets`: 0, `SELECT count(*) FROM events`: 3,
			`SELECT count(*) FROM webhook_endpoints`: 0,
		} {
			p.await(want, query)
		}
	})
}

// However many deliveries an endpoint has, no one transaction deletes them all; and from the
// first moment nobody sees it any more, or sends to it.
func TestRemovingAnEndpointWithManyDeliveries(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		g, feed := p.registry(), Feed{DB: p.db, Now: p.now}
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was told") }))
		defer server.Close()
		e, _ := p.add("shop", server.URL)
		p.publish("shop", 2*removedBatch+10)
		var event string
		if err := p.db.QueryRow(`SELECT id FROM events ORDER BY id LIMIT 1`).Scan(&event); err != nil {
			t.Fatal(err)
		}
		if err := g.Remove(t.Context(), "shop", e.ID); err != nil {
			t.Fatal(err)
		}
		p.await(2*removedBatch+10, `SELECT count(*) FROM webhook_deliveries`) // none was deleted at once
		if _, err := g.Get(t.Context(), "shop", e.ID); !errors.Is(err, ErrNotFound) {
			t.Errorf("it is there: %v", err)
		}
		if list, err := g.List(t.Context(), "shop", "", 10); err != nil || len(list) != 0 {
			t.Errorf("listed: %v, %v", list, err)
		}
		if _, deliveries, err := feed.Get(t.Context(), "shop", event); err != nil || len(deliveries) != 0 {
			t.Errorf("its deliveries are shown: %v, %v", deliveries, err)
		}
		if err := feed.Redeliver(t.Context(), "shop", event, e.ID); !errors.Is(err, ErrNotFound) {
			t.Errorf("redelivered: %v", err)
		}
		if backlog, err := ReadBacklog(t.Context(), p.db, p.now()); err != nil || backlog.Waiting != 0 {
			t.Errorf("waiting: %+v, %v", backlog, err)
		}
		var url string
		var secret []byte
		if err := p.db.QueryRow(`SELECT url, secret FROM webhook_endpoints`).Scan(&url, &secret); err != nil || len(secret) != 0 || url != e.ID {
			t.Errorf("kept: %s, %d octets of a secret, %v", url, len(secret), err)
		}
		again, _ := p.add("shop", server.URL) // the place is free
		if err := g.Remove(t.Context(), "shop", again.ID); err != nil {
			t.Fatal(err)
		}
		d, _ := p.start()
		d.Wake()
		if err := Purge(t.Context(), p.db, p.now()); err != nil {
			t.Error(err)
		}
		p.await(0, `SELECT count(*) FROM webhook_deliveries`)
		p.await(0, `SELECT count(*) FROM webhook_endpoints`)
		p.await(2*removedBatch+10, `SELECT count(*) FROM events`)
	})
}

// During the overlap a message verifies with the old secret and with the new one;
// afterwards with the new one only.
func TestRotationOverlaps(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		g := p.registry()
		type message struct {
			header http.Header
			body   []byte
		}
		messages := make(chan message, 10)
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body) // a body that ended early does not verify
			messages <- message{r.Header, body}
		}))
		defer server.Close()
		e, first := p.add("shop", server.URL)
		d, _ := p.start()
		verifies := func(secrets ...string) (good []bool) {
			t.Helper()
			p.publish("shop", 1)
			d.Wake()
			m := <-messages
			for _, secret := range secrets {
				receiver, err := standardwebhooks.NewWebhook(secret)
				if err != nil {
					t.Fatal(err)
				}
				good = append(good, receiver.VerifyIgnoringTimestamp(m.body, m.header) == nil)
			}
			return good
		}
		expect := func(when string, got []bool, want ...bool) {
			t.Helper()
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: %v, want %v", when, got, want)
			}
		}
		rotate := func(overlap time.Duration) string {
			t.Helper()
			_, secret, err := g.Rotate(t.Context(), "shop", e.ID, overlap)
			if err != nil {
				t.Fatal(err)
			}
			return secret
		}
		lost := rotate(time.Hour) // the answer is lost, so it is made again
		second := rotate(time.Hour)
		expect("in the overlap", verifies(first, lost, second), true, true, true)
		p.advance(time.Hour)
		expect("after the overlap", verifies(first, lost, second), false, false, true)
		third := rotate(24 * time.Hour)
		fourth := rotate(0) // it was stolen: nothing older counts from now on
		expect("after a theft", verifies(second, third, fourth), false, false, true)
		for range maxSecrets - 1 {
			rotate(time.Hour)
		}
		if _, _, err := g.Rotate(t.Context(), "shop", e.ID, time.Hour); !errors.Is(err, ErrTooManySecrets) {
			t.Errorf("one rotation too many: %v", err)
		}
		rotate(0)
		p.advance(time.Second)
		if err := Purge(t.Context(), p.db, p.now()); err != nil {
			t.Fatal(err)
		}
		p.await(0, `SELECT count(*) FROM webhook_old_secrets`)
	})
}

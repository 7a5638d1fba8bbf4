package auth

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/open-tollgate/tollgate/internal/revocation"
	"github.com/open-tollgate/tollgate/internal/testenv"
	"github.com/open-tollgate/tollgate/internal/token"
)

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// follower is an edge node, as far as revocations go.
func follower(t *testing.T, addr string) *revocation.Follower {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	f, err := revocation.NewFollower(revocation.Config{Client: client})
	if err != nil {
		t.Fatal(err)
	}
	f.Start(t.Context())
	t.Cleanup(func() {
		f.Close()
		_ = client.Close()
	})
	return f
}

func (w *world) refusedBy(f *revocation.Follower, access string) func() bool {
	id, _ := w.claimsOf(access)["grant_id"].(string)
	return func() bool {
		revoked, _ := f.Revoked(&token.Token{Issuer: w.issuer, GrantID: id, IssuedAt: time.Now()}, time.Now())
		return revoked
	}
}

func withRedis(addr string) func(*Config) {
	return func(c *Config) { c.Redis = "redis://" + addr }
}

// publish runs the publisher until the test ends, or until it is called.
func (w *world) publish() (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.server.PublishRevocations(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	}
	w.t.Cleanup(stop)
	return stop
}

func (w *world) scrape() string {
	w.t.Helper()
	answer, err := w.http.Get(w.issuer + metricsPath)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		w.t.Fatalf("%d %v", answer.StatusCode, err)
	}
	return string(text)
}

// Whatever ends a grant reaches the edges.
func TestRevocationsReachTheEdges(t *testing.T) {
	t.Parallel()
	addr := testenv.Redis(t)
	dsn, key := filepath.Join(t.TempDir(), "auth.db"), ""
	w := newWorldOn(t, dsn, withRedis(addr), func(c *Config) { key = c.SecretFile })
	w.publish()
	edge, shop := follower(t, addr), w.standard()
	waitFor(t, "the edge", edge.Ready)
	kept := shop.tokens().text("access_token")
	for name, end := range map[string]func(code string, tokens reply){
		"access token": func(_ string, got reply) {
			shop.post(revokePath, url.Values{"token": {got.text("access_token")}}).ok(t)
		},
		"refresh token": func(_ string, got reply) {
			shop.post(revokePath, url.Values{"token": {got.text("refresh_token")}}).ok(t)
		},
		"code used twice": func(code string, _ reply) {
			shop.redeem(code).wants(t, http.StatusBadRequest, "invalid_grant")
		},
		"the operator": func(_ string, got reply) { // by a process of its own, which wakes nobody
			r, err := OpenRegistry(t.Context(), dsn, key)
			if err != nil {
				t.Fatal(err)
			}
			id, _ := w.claimsOf(got.text("access_token"))["grant_id"].(string)
			for range 2 { // to repeat it is fine
				if revoked, err := r.RevokeGrant(t.Context(), id); err != nil || revoked.GrantID != id || !revoked.Revoked {
					t.Errorf("%+v, %v", revoked, err)
				}
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.text("refresh_token")}}
			shop.post(tokenPath, refresh).wants(t, http.StatusBadRequest, "invalid_grant")
		},
		"the user": func(_ string, got reply) {
			id, _ := w.claimsOf(got.text("access_token"))["grant_id"].(string)
			if err := w.server.store.RevokeUserGrant(t.Context(), aliceID, id); err != nil {
				t.Fatal(err)
			}
		},
	} {
		code := shop.code()
		tokens := shop.redeem(code).ok(t)
		refused := w.refusedBy(edge, tokens.text("access_token"))
		if refused() {
			t.Fatalf("%s: refused before", name)
		}
		end(code, tokens)
		waitFor(t, name, refused)
	}
	own := shop.post(tokenPath, ownForm("payments:create")).ok(t).text("access_token")
	shop.post(revokePath, url.Values{"token": {own}}).ok(t)
	waitFor(t, "a client's own token", w.refusedBy(edge, own))
	if w.refusedBy(edge, kept)() {
		t.Error("a grant that nobody revoked is refused")
	}
	waitFor(t, "the metrics", func() bool {
		text := w.scrape()
		return strings.Contains(text, `tollgate_revocations_published_total{result="published"} 6`) &&
			strings.Contains(text, "tollgate_revocations_waiting 0\n") && strings.Contains(text, "tollgate_revocation_lag_seconds 0\n")
	})
}

// A revocation that is committed is published, though Redis was away then, and though
// the process that committed it is gone.
func TestRevocationsOutliveAnOutage(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedisServer(t)
	dir := t.TempDir()
	keyFile := func(c *Config) { c.SecretFile = filepath.Join(dir, "master.key") }
	dsn := filepath.Join(dir, "auth.db")
	first := newWorldOn(t, dsn, withRedis(server.Addr()), keyFile)
	stop := first.publish()
	shop := first.standard()
	server.Kill()
	one := shop.tokens().text("access_token")
	shop.post(revokePath, url.Values{"token": {one}}).ok(t) // the answer does not wait for Redis
	waitFor(t, "the failure to be counted", func() bool {
		return !strings.Contains(first.scrape(), `tollgate_revocations_published_total{result="failed"} 0`)
	})
	if text := first.scrape(); !strings.Contains(text, "tollgate_revocations_waiting 1\n") || strings.Contains(text, "tollgate_revocation_lag_seconds 0\n") {
		t.Errorf("metrics:\n%s", text)
	}
	if !strings.Contains(first.log.String(), "cannot publish revocations") {
		t.Error("nothing in the log")
	}
	server.Restart()
	edge := follower(t, server.Addr())
	waitFor(t, "what was revoked meanwhile", first.refusedBy(edge, one))

	stop() // as if it were killed between the commit and the publication
	two := shop.tokens().text("access_token")
	shop.post(revokePath, url.Values{"token": {two}}).ok(t)
	refused := first.refusedBy(edge, two)
	second := newWorldOn(t, dsn, withRedis(server.Addr()), keyFile, func(c *Config) { c.Issuer = first.issuer })
	if refused() {
		t.Fatal("published by nobody")
	}
	second.publish()
	waitFor(t, "what the other process had committed", refused)
}

// Redis comes back empty, and no edge is there that could give back what it knew.
func TestRedisLosesWhatWasPublished(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedisServer(t)
	w := newWorldOn(t, fresh.SQLite(t), withRedis(server.Addr()))
	stop := w.publish()
	shop := w.standard()
	access := shop.tokens().text("access_token")
	shop.post(revokePath, url.Values{"token": {access}}).ok(t)
	waitFor(t, "the publication", func() bool {
		return strings.Contains(w.scrape(), `tollgate_revocations_published_total{result="published"} 1`)
	})
	waitFor(t, "the note", func() bool { return strings.Contains(w.scrape(), "tollgate_revocations_waiting 0\n") })
	stop()
	server.Restart()
	edge := follower(t, server.Addr())
	waitFor(t, "the edge", edge.Ready)
	if w.refusedBy(edge, access)() {
		t.Fatal("Redis has lost nothing")
	}
	w.publish() // looks at its start, and then once a minute
	waitFor(t, "what was lost", w.refusedBy(edge, access))
}

// Redis was back, and empty, before anybody needed it, and has taken the next revocation:
// that it has the newest does not say that it has the others.
func TestRedisLosesWhatWasPublishedUnnoticed(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedisServer(t)
	w := newWorldOn(t, fresh.SQLite(t), withRedis(server.Addr()))
	p, shop := w.server.publisher, w.standard()
	revoke := func() (access string) {
		access = shop.tokens().text("access_token")
		shop.post(revokePath, url.Values{"token": {access}}).ok(t)
		return access
	}
	round := func() {
		t.Helper()
		if err := p.round(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	one := revoke()
	round()
	server.Restart()
	waitFor(t, "a connection to the new Redis", func() bool { return p.client.Ping(t.Context()).Err() == nil })
	w.advance(time.Second)
	two := revoke()
	round()
	edge := follower(t, server.Addr())
	waitFor(t, "the second", w.refusedBy(edge, two))
	if w.refusedBy(edge, one)() {
		t.Fatal("Redis has lost nothing")
	}
	p.lookAt = time.Time{} // a minute later
	round()
	waitFor(t, "the first", w.refusedBy(edge, one))
}

// Without Redis nothing is published, and what is wrong in its URL is said without it.
func TestRedisIsOptional(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish()()
	if text := w.scrape(); strings.Contains(text, "tollgate_revocations_waiting") {
		t.Errorf("there is no queue:\n%s", text)
	}
	_, err := New(t.Context(), Config{
		Database: filepath.Join(t.TempDir(), "auth.db"), SecretFile: filepath.Join(t.TempDir(), "key"), Issuer: "https://localhost:1",
		UsersURL: "http://localhost:1", PaymentsURL: "http://localhost:1", Redis: "redis://user:canary@host:port",
	})
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("%v", err)
	}
}

package revocation_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/open-tollgate/tollgate/internal/revocation"
	"github.com/open-tollgate/tollgate/internal/testenv"
	"github.com/open-tollgate/tollgate/internal/token"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

func connect(t testing.TB, addr string) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func newFollower(t testing.TB, c revocation.Config) *revocation.Follower {
	t.Helper()
	f, err := revocation.NewFollower(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// follow starts a follower and waits until it has read everything.
func follow(t testing.TB, c revocation.Config) *revocation.Follower {
	t.Helper()
	f := newFollower(t, c)
	f.Start(t.Context())
	t.Cleanup(f.Close)
	await(t, "the first load", f.Ready)
	return f
}

func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func knows(f *revocation.Follower, id string) func() bool {
	return func() bool {
		is, _ := f.Revoked(&token.Token{Issuer: issuerA, ID: id}, time.Now())
		return is
	}
}

func ofToken(id string) revocation.Revocation {
	return revocation.OfToken(issuerA, id, time.Now().Add(5*time.Minute))
}

func TestTwoNodesHearOfARevocation(t *testing.T) {
	t.Parallel()
	addr := testenv.Redis(t)
	first, second := follow(t, revocation.Config{Client: connect(t, addr)}), follow(t, revocation.Config{Client: connect(t, addr)})
	publisher := revocation.NewStream(connect(t, addr), "")
	var slowest time.Duration
	for i := range 50 {
		id := fmt.Sprint(i)
		begin := time.Now()
		revoke(t, publisher, ofToken(id))
		await(t, "both nodes to know", func() bool { return knows(first, id)() && knows(second, id)() })
		slowest = max(slowest, time.Since(begin))
	}
	t.Logf("the slowest of 50 took %v", slowest)
	if slowest > time.Second {
		t.Errorf("a revocation took %v", slowest)
	}
	if info := first.Info(); info.Entries != 50 || info.Stale != nil || info.Failure != nil || info.Unreadable != 0 {
		t.Errorf("%+v", info)
	}
}

// What a follower hears reaches tokens that a verifier has in its memory.
func TestFollowedRevocationsReachTheVerifier(t *testing.T) {
	t.Parallel()
	addr := testenv.Redis(t)
	issuer := tokentest.NewIssuer(t, issuerA)
	v := newVerifier(t, issuer, follow(t, revocation.Config{Client: connect(t, addr)}))
	raw := issuer.Token(tokentest.Claim("grant_id", "grant-1"))
	if got := reason(t, v, raw); got != "" {
		t.Fatal(got)
	}
	revoke(t, revocation.NewStream(connect(t, addr), ""), revocation.OfGrant(issuerA, "grant-1", time.Now()))
	await(t, "the token to be refused", func() bool { return reason(t, v, raw) == token.Revoked })
}

func TestLoadAtStart(t *testing.T) {
	t.Parallel()
	client := connect(t, testenv.Redis(t))
	publisher := revocation.NewStream(client, "edge")
	const many = 2500 // more than a page
	for i := range many {
		revoke(t, publisher, ofToken(fmt.Sprint(i)))
	}
	revoke(t, publisher, revocation.OfToken(issuerA, "expired", time.Now().Add(-time.Hour)), revocation.OfSubject(issuerA, "u", time.Now()))
	if err := client.Del(t.Context(), "{edge:revocations}:stream").Err(); err != nil { // what has fallen out of it is in the set
		t.Fatal(err)
	}
	f := follow(t, revocation.Config{Client: client, Prefix: "edge"})
	for _, id := range []string{"0", "1234", fmt.Sprint(many - 1)} {
		if !knows(f, id)() {
			t.Errorf("%s is not known at the start", id)
		}
	}
	if n := f.Info().Entries; n != many+1 {
		t.Errorf("%d entries", n)
	}
	other := follow(t, revocation.Config{Client: client, Prefix: "other"})
	if n := other.Info().Entries; n != 0 {
		t.Errorf("%d entries of another prefix", n)
	}
	revoke(t, publisher, ofToken("later"))
	await(t, "one that came after", knows(f, "later"))
}

// What has ended does not stay in Redis either.
func TestRedisForgets(t *testing.T) {
	t.Parallel()
	client := connect(t, testenv.Redis(t))
	publisher := revocation.NewStream(client, "")
	revoke(t, publisher, revocation.OfToken(issuerA, "expired", time.Now().Add(-time.Hour)), ofToken("1"), ofToken("1"))
	live, err := client.ZRange(t.Context(), "{tollgate:revocations}:live", 0, -1).Result()
	if err != nil || len(live) > 2 {
		t.Errorf("%v, %v", live, err)
	}
}

func TestRedisLosesEverything(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedisServer(t)
	first := follow(t, revocation.Config{Client: connect(t, server.Addr())})
	publisher := revocation.NewStream(connect(t, server.Addr()), "")
	revoke(t, publisher, ofToken("1"), revocation.OfSubject(issuerA, "u", time.Now()))
	await(t, "the revocation", knows(first, "1"))

	server.Kill()
	await(t, "the failure to be seen", func() bool { return first.Info().Failure != nil })
	if err := publisher.Revoke(t.Context(), ofToken("2")); err == nil {
		t.Error("published to nowhere")
	}
	if !knows(first, "1")() || first.Info().Stale != nil {
		t.Error("a short outage makes a difference")
	}

	server.Restart() // empty
	await(t, "the recovery", func() bool { return first.Info().Failure == nil })
	revoke(t, publisher, ofToken("3"))
	await(t, "news after the restart", knows(first, "3"))
	second := follow(t, revocation.Config{Client: connect(t, server.Addr())})
	if !knows(second, "1")() || second.Info().Entries != 3 {
		t.Errorf("a new node does not learn what Redis has lost: %+v", second.Info())
	}
}

func TestStale(t *testing.T) {
	t.Parallel()
	for policy, closed := range map[revocation.Policy]bool{"": true, revocation.Closed: true, revocation.Open: false} {
		t.Run("policy "+string(policy), func(t *testing.T) {
			t.Parallel()
			server := testenv.NewRedisServer(t)
			c := &clock{at: time.Now()}
			f := newFollower(t, revocation.Config{
				Client: connect(t, server.Addr()), WhenStale: policy, MaxAge: 30 * time.Second, Now: c.now,
			})
			good, bad := &token.Token{Issuer: issuerA, ID: "good"}, &token.Token{Issuer: issuerA, ID: "bad"}
			expect := func(when string, unavailable bool) {
				t.Helper()
				is, err := f.Revoked(good, c.now())
				if is || (err != nil) != unavailable || err != nil && !errors.Is(err, revocation.ErrStale) {
					t.Errorf("%s: %v, %v", when, is, err)
				}
			}
			expect("before the first load", closed)
			if f.Info().Stale == nil {
				t.Error("nothing is known, and that is not said")
			}
			f.Start(t.Context())
			t.Cleanup(f.Close)
			await(t, "the first load", f.Ready)
			revoke(t, revocation.NewStream(connect(t, server.Addr()), ""), revocation.OfToken(issuerA, "bad", c.now().Add(time.Hour)))
			await(t, "the revocation", func() bool { is, _ := f.Revoked(bad, c.now()); return is })
			expect("while all is well", false)

			server.Kill()
			await(t, "the failure to be seen", func() bool { return f.Info().Failure != nil })
			c.add(29 * time.Second)
			expect("within the limit", false)
			c.add(2 * time.Second)
			expect("beyond the limit", closed)
			if is, err := f.Revoked(bad, c.now()); !is || err != nil {
				t.Errorf("known to be revoked: %v, %v", is, err)
			}
			if f.Age() < 30*time.Second {
				t.Errorf("age %v", f.Age())
			}

			server.Restart()
			await(t, "the recovery", func() bool { return f.Info().Stale == nil })
			expect("after the recovery", false)
		})
	}
}

// A follower that has no room for what is revoked does not pretend to know.
func TestTooManyRevocations(t *testing.T) {
	t.Parallel()
	client := connect(t, testenv.Redis(t))
	c := &clock{at: time.Now()}
	f := follow(t, revocation.Config{Client: client, Size: 1, Now: c.now})
	publisher := revocation.NewStream(client, "")
	for i := range 200 {
		revoke(t, publisher, revocation.OfToken(issuerA, fmt.Sprint(i), c.now().Add(time.Minute)))
	}
	good := &token.Token{Issuer: issuerA, ID: "good"}
	await(t, "the memory to be full", func() bool {
		_, err := f.Revoked(good, c.now())
		return errors.Is(err, revocation.ErrFull)
	})
	c.add(4 * time.Minute) // they have all expired
	await(t, "the follower to know again", func() bool {
		is, err := f.Revoked(good, c.now())
		return !is && err == nil
	})
}

func TestUnreadableEntries(t *testing.T) {
	t.Parallel()
	client := connect(t, testenv.Redis(t))
	f := follow(t, revocation.Config{Client: client})
	for _, values := range []map[string]any{{"r": "{}"}, {"x": "y"}} {
		if err := client.XAdd(t.Context(), &redis.XAddArgs{Stream: "{tollgate:revocations}:stream", Values: values}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	revoke(t, revocation.NewStream(client, ""), ofToken("1"))
	await(t, "the one that can be read", knows(f, "1"))
	if n := f.Info().Unreadable; n != 2 {
		t.Errorf("%d are said to be unreadable", n)
	}
}

func TestStartAndClose(t *testing.T) {
	t.Parallel()
	f := newFollower(t, revocation.Config{Client: connect(t, testenv.Redis(t))})
	f.Close() // never started
	for range 2 {
		f.Start(t.Context())
		f.Start(t.Context())
		await(t, "the load", f.Ready)
		f.Close()
		f.Close()
	}
}

func TestNewFollowerRefuses(t *testing.T) {
	t.Parallel()
	client := connect(t, "127.0.0.1:1") // nothing is dialed
	for name, c := range map[string]revocation.Config{
		"no client":      {},
		"unknown policy": {Client: client, WhenStale: "maybe"},
		"no patience":    {Client: client, MaxAge: time.Millisecond},
		"an hour":        {Client: client, MaxAge: time.Hour},
	} {
		if _, err := revocation.NewFollower(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

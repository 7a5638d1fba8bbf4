package access_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/dpop"
	"github.com/open-tollgate/tollgate/internal/jose"
	"github.com/open-tollgate/tollgate/internal/token"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// counted is a key source that counts what it is asked: each question is followed by
// a verification.
type counted struct {
	token.KeySource
	asked atomic.Int32
}

func (c *counted) Key(ctx context.Context, id string) (*jose.Key, error) {
	c.asked.Add(1)
	return c.KeySource.Key(ctx, id)
}

// limited is a resource whose callers may fail three times, and once a second after that.
type limited struct {
	*resource
	keys     *counted
	failures *access.Failures
	at       time.Time
}

func newLimited(t testing.TB, size int) *limited {
	t.Helper()
	l := &limited{resource: newResource(t), at: time.Unix(1800000000, 0)}
	config := l.issuer.Issuer()
	l.keys = &counted{KeySource: config.Keys}
	config.Keys = l.keys
	var err error
	l.failures, err = access.NewFailures(access.FailuresConfig{
		Burst: 3, Interval: time.Second, Size: size, Now: func() time.Time { return l.at },
	})
	if err != nil {
		t.Fatal(err)
	}
	l.checker = &access.Checker{Tokens: tokens(t, config), Proofs: proofs(t, nil), Failures: l.failures}
	return l
}

// try gives the reason of the refusal, and nothing when there is none.
func (l *limited) try(t testing.TB, remote, authorization string, proofs ...string) string {
	t.Helper()
	r := request(authorization)
	r.RemoteAddr = remote
	r.Header["Dpop"] = proofs
	_, p := l.checker.Check(r)
	if p == nil {
		return ""
	}
	if !slices.Contains(access.Reasons(), p.Reason) {
		t.Errorf("reason %q is not in the vocabulary", p.Reason)
	}
	if limited := p.Reason == access.TooManyFailures; limited != (p.Status == http.StatusTooManyRequests) ||
		limited && p.Header.Get("Retry-After") != "1" {
		t.Errorf("%d %s, Retry-After %q", p.Status, p.Reason, p.Header.Get("Retry-After"))
	}
	return p.Reason
}

// forged gives a token that nobody has seen, and that the issuer did not sign.
func (l *limited) forged() string {
	return "Bearer " + l.issuer.Token(tokentest.SignedBy(l.key))
}

func TestFailuresAreLimited(t *testing.T) {
	t.Parallel()
	l := newLimited(t, 0)
	const here, neighbour = "192.0.2.1:1000", "192.0.2.2:1000"
	warm := "Bearer " + l.issuer.Token()
	for i := range 10 {
		if got := l.try(t, here, warm); got != "" {
			t.Fatalf("a good token for the %dth time: %s", i+1, got)
		}
	}
	for range 3 {
		if got := l.try(t, here, l.forged()); got != "bad_signature" {
			t.Fatalf("within the limit: %q", got)
		}
	}
	before := l.keys.asked.Load()
	for range 5 {
		if got := l.try(t, "192.0.2.1:2000", l.forged()); got != access.TooManyFailures {
			t.Errorf("beyond the limit, from another port: %q", got)
		}
	}
	if got := l.try(t, here, "Bearer "+l.issuer.Token()); got != access.TooManyFailures {
		t.Errorf("a token that is not known, beyond the limit: %q", got)
	}
	if n := l.keys.asked.Load() - before; n != 0 {
		t.Errorf("%d tokens were looked into", n)
	}
	if got := l.try(t, here, warm); got != "" {
		t.Errorf("a remembered token: %q", got)
	}
	if got := l.try(t, neighbour, l.forged()); got != "bad_signature" {
		t.Errorf("another address: %q", got)
	}
	if info := l.failures.Info(); info != (access.FailuresInfo{Noted: 4, Limited: 6, Suspects: 2}) {
		t.Errorf("%+v", info)
	}
	l.at = l.at.Add(time.Second)
	if got := l.try(t, here, l.forged()); got != "bad_signature" {
		t.Errorf("a second later: %q", got)
	}
	if got := l.try(t, here, l.forged()); got != access.TooManyFailures {
		t.Errorf("twice in that second: %q", got)
	}
}

func TestWhoIsWho(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, first, second string
		same                bool
	}{
		{"the same IPv4 address", "192.0.2.1:1", "192.0.2.1:2", true},
		{"another IPv4 address", "192.0.2.1:1", "192.0.2.2:1", false},
		{"IPv4 in IPv6", "192.0.2.1:1", "[::ffff:192.0.2.1]:1", true},
		{"two of one /64", "[2001:db8::1]:1", "[2001:db8::ffff:2]:1", true},
		{"two /64", "[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
		{"zones", "[fe80::1%eth0]:1", "[fe80::1%eth1]:1", true},
		{"nobody knows", "@", "", true},
	} {
		l := newLimited(t, 0)
		for range 3 {
			l.try(t, test.first, l.forged())
		}
		if got := l.try(t, test.second, l.forged()); (got == access.TooManyFailures) != test.same {
			t.Errorf("%s: %q", test.name, got)
		}
	}
}

func TestAddressOfTheClient(t *testing.T) {
	t.Parallel()
	f, err := access.NewFailures(access.FailuresConfig{Burst: 1, Interval: time.Hour, Address: func(r *http.Request) netip.Addr {
		return netip.MustParseAddr(r.Header.Get("X-Real-Ip"))
	}})
	if err != nil {
		t.Fatal(err)
	}
	l := newLimited(t, 0)
	l.checker.Failures = f
	reason := func(client string) string {
		r := request(l.forged())
		r.Header.Set("X-Real-Ip", client)
		_, p := l.checker.Check(r)
		return p.Reason
	}
	if reason("192.0.2.1") != "bad_signature" || reason("192.0.2.2") != "bad_signature" || reason("192.0.2.1") != access.TooManyFailures {
		t.Error("does not go by the address that it is given")
	}
}

// Whoever has stolen a bound token and sends it with proofs of his own burns what he
// may, without closing the door to others behind the same address.
func TestFailedProofsAreLimited(t *testing.T) {
	t.Parallel()
	l := newLimited(t, 0)
	const here = "192.0.2.1:1000"
	thief := tokentest.NewKey(t, "ES256", "")
	bound := l.issuer.Token(tokentest.BoundTo(l.key))
	mallory := func() string { return thief.Proof(time.Now(), http.MethodGet, origin+path, bound) }
	for range 3 {
		if got := l.try(t, here, "DPoP "+bound, mallory()); got != "proof_wrong_key" {
			t.Fatalf("within the limit: %q", got)
		}
	}
	if got := l.try(t, here, "DPoP "+bound, mallory()); got != access.TooManyFailures {
		t.Errorf("beyond the limit: %q", got)
	}
	if got := l.try(t, "192.0.2.2:1", "DPoP "+bound, l.proof(bound)); got != "" {
		t.Errorf("the owner, elsewhere: %q", got)
	}
	other := tokentest.NewKey(t, "ES256", "")
	others := l.issuer.Token(tokentest.BoundTo(other))
	if got := l.try(t, here, "DPoP "+others, other.Proof(time.Now(), http.MethodGet, origin+path, others)); got != "" {
		t.Errorf("somebody else behind the same address: %q", got)
	}
}

func TestWhatIsNoFailure(t *testing.T) {
	t.Parallel()
	l := newLimited(t, 0)
	nonces, err := dpop.NewNonces(bytes.Repeat([]byte("k"), 32), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	l.checker.Proofs, err = dpop.New(dpop.Config{Origins: []string{origin}, Nonces: nonces})
	if err != nil {
		t.Fatal(err)
	}
	bound := l.issuer.Token(tokentest.BoundTo(l.key))
	for range 10 {
		l.try(t, "192.0.2.1:1", "Basic dTpw")
		l.try(t, "192.0.2.1:1", "Bearer")
		if got := l.try(t, "192.0.2.1:1", "DPoP "+bound, l.proof(bound)); got != "proof_nonce_wanted" {
			t.Fatalf("without a nonce: %q", got)
		}
	}
	config := l.issuer.Issuer()
	config.Keys = failing{}
	l.checker.Tokens = tokens(t, config)
	for range 10 {
		if got := l.try(t, "192.0.2.1:1", l.forged()); got != "keys_unavailable" {
			t.Fatalf("when nobody can tell: %q", got)
		}
	}
	if n := l.failures.Info().Noted; n != 0 {
		t.Errorf("%d failures", n)
	}
}

// A flood from everywhere takes no more room than there is, and who fails all the
// time is not forgotten for those who fail once.
func TestFailuresAreBounded(t *testing.T) {
	t.Parallel()
	const size = 320
	l := newLimited(t, size)
	const persistent = "198.51.100.1:1"
	forged := l.forged()
	for range 3 {
		l.try(t, persistent, forged)
	}
	for i := range 10 * size {
		l.try(t, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1).String(), forged)
	}
	if n := l.failures.Info().Suspects; n > size {
		t.Errorf("%d suspects, the bound is %d", n, size)
	}
	if got := l.try(t, persistent, forged); got != access.TooManyFailures {
		t.Errorf("who failed before the flood: %q", got)
	}
	l.at = l.at.Add(time.Minute) // nobody has anything left to answer for
	if got := l.try(t, persistent, forged); got != "bad_signature" {
		t.Errorf("a minute later: %q", got)
	}
}

func TestFailuresOfManyGoroutines(t *testing.T) {
	t.Parallel()
	// Ten suspects have room whichever of the shards they fall into.
	f, err := access.NewFailures(access.FailuresConfig{Burst: 10, Interval: time.Hour, Size: 1024})
	if err != nil {
		t.Fatal(err)
	}
	l := newLimited(t, 0)
	l.checker.Failures = f
	forged := l.forged()
	var callers sync.WaitGroup
	for g := range 8 {
		callers.Go(func() {
			for i := range 50 {
				l.knock(fmt.Sprintf("10.0.%d.%d:1", g%2, i%5), forged)
			}
		})
	}
	callers.Wait()
	if info := f.Info(); info.Noted+info.Limited != 400 || info.Suspects != 10 {
		t.Errorf("%+v", info)
	}
}

// knock tries without looking at the answer.
func (l *limited) knock(remote, authorization string) {
	r := request(authorization)
	r.RemoteAddr = remote
	_, _ = l.checker.Check(r)
}

func TestNewFailuresRefuses(t *testing.T) {
	t.Parallel()
	for _, config := range []access.FailuresConfig{{Burst: -1}, {Interval: -1}, {Size: -1}} {
		if _, err := access.NewFailures(config); err == nil {
			t.Errorf("%+v: accepted", config)
		}
	}
}

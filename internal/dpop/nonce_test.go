package dpop_test

import (
	"bytes"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/dpop"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

var nonceKey = bytes.Repeat([]byte("k"), 32)

func newNonces(t testing.TB, key []byte, clock func() time.Time) *dpop.Nonces {
	t.Helper()
	n, err := dpop.NewNonces(key, time.Minute, clock)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNonces(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) func() time.Time { return func() time.Time { return now.Add(d) } } // now begins a minute
	given := newNonces(t, nonceKey, at(0)).Current()
	otherPeriod, err := dpop.NewNonces(nonceKey, 2*time.Minute, at(0))
	if err != nil {
		t.Fatal(err)
	}
	key := tokentest.NewKey(t, "ES256", "")
	for _, test := range []struct {
		name  string
		nonce any // nil: none
		after time.Duration
		want  dpop.Reason
	}{
		{"just given", given, 0, ""},
		{"given by another node at the end of the period", given, 59 * time.Second, ""},
		{"in the next period", given, time.Minute, ""},
		{"at the end of the next period", given, 2*time.Minute - 1, ""},
		{"after that", given, 2 * time.Minute, dpop.NonceWanted},
		{"given by a node whose clock is ahead", given, -time.Second, ""},
		{"given by one that is ten seconds ahead", given, -10 * time.Second, ""},
		{"given by one that is further ahead", given, -10*time.Second - 1, dpop.NonceWanted},
		{"none", nil, 0, dpop.NonceWanted},
		{"empty", "", 0, dpop.NonceWanted},
		{"longer", given + "A", 0, dpop.NonceWanted},
		{"of another key", newNonces(t, bytes.Repeat([]byte("x"), 32), at(0)).Current(), 0, dpop.NonceWanted},
		{"of another period", otherPeriod.Current(), 0, dpop.NonceWanted},
		{"a number", 1, 0, dpop.Malformed},
		{"a list", []string{given}, 0, dpop.Malformed},
	} {
		v, err := dpop.New(dpop.Config{Origins: []string{origin}, Nonces: newNonces(t, nonceKey, at(test.after)), Now: at(test.after)})
		if err != nil {
			t.Fatal(err)
		}
		option := tokentest.Without("nonce")
		if test.nonce != nil {
			option = tokentest.Claim("nonce", test.nonce)
		}
		r := request(key.Proof(now.Add(test.after), http.MethodPost, origin+"/api/payments/a%2Fb", accessToken, option))
		if got := reasonOf(t, v.Verify(t.Context(), r, accessToken, key.JKT())); got != test.want {
			t.Errorf("%s: reason %q, want %q", test.name, got, test.want)
		}
	}
}

// A proof that lacks a nonce is bad in no other way, or it is told so; and it can be
// repeated with one, which is another proof.
func TestNonceComesAfterAllElseButReplay(t *testing.T) {
	t.Parallel()
	clock := func() time.Time { return now }
	store := dpop.NewMemory(1, clock)
	v, err := dpop.New(dpop.Config{Origins: []string{origin}, Replay: store, Nonces: newNonces(t, nonceKey, clock), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	key := tokentest.NewKey(t, "ES256", "")
	proof := func(options ...tokentest.Option) *http.Request {
		return request(key.Proof(now, http.MethodPost, origin+"/api/payments/a%2Fb", accessToken,
			append(options, tokentest.Claim("jti", "1"))...))
	}
	verify := func(r *http.Request, jkt string) dpop.Reason {
		return reasonOf(t, v.Verify(t.Context(), r, accessToken, jkt))
	}
	if got := verify(proof(tokentest.Claim("htm", "GET")), key.JKT()); got != dpop.WrongMethod {
		t.Errorf("for another method: %q", got)
	}
	if got := verify(proof(), "other"); got != dpop.WrongKey {
		t.Errorf("by another key: %q", got)
	}
	if got := verify(proof(), key.JKT()); got != dpop.NonceWanted {
		t.Errorf("without a nonce: %q", got)
	}
	if got := verify(proof(tokentest.Claim("nonce", v.Nonce())), key.JKT()); got != "" {
		t.Errorf("with the nonce: %q", got)
	}
	if got := verify(proof(tokentest.Claim("nonce", v.Nonce())), key.JKT()); got != dpop.Replayed {
		t.Errorf("again: %q", got)
	}
}

// TestRenewal has a nonce from its first to its last moment: in its second period the
// answer hands out the next one (RFC 9449 section 8.2).
func TestRenewal(t *testing.T) {
	t.Parallel()
	at := now
	clock := func() time.Time { return at }
	nonces := newNonces(t, nonceKey, clock)
	v, err := dpop.New(dpop.Config{Origins: []string{origin}, Nonces: nonces, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	key, given := tokentest.NewKey(t, "ES256", ""), nonces.Current()
	check := func() string {
		t.Helper()
		r := request(key.Proof(at, http.MethodPost, origin+"/api/payments/a%2Fb", accessToken, tokentest.Claim("nonce", given)))
		renewal, err := v.Check(t.Context(), r, accessToken, key.JKT())
		if err != nil {
			t.Fatal(err)
		}
		return renewal
	}
	if renewal := check(); renewal != "" {
		t.Errorf("renewed at once: %q", renewal)
	}
	at = now.Add(time.Minute)
	renewal := check()
	if renewal == "" || renewal == given || renewal != nonces.Current() {
		t.Errorf("renewed to %q", renewal)
	}
	given = renewal
	if again := check(); again != "" {
		t.Errorf("renewed twice: %q", again)
	}
}

// A nonce that a node with a faster clock gave out is good for a whole period more: it
// is not replaced by an older one.
func TestNonceAheadIsNotRenewed(t *testing.T) {
	t.Parallel()
	at := now.Add(-time.Second)
	given := newNonces(t, nonceKey, func() time.Time { return now }).Current()
	clock := func() time.Time { return at }
	v, err := dpop.New(dpop.Config{Origins: []string{origin}, Nonces: newNonces(t, nonceKey, clock), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	key := tokentest.NewKey(t, "ES256", "")
	r := request(key.Proof(at, http.MethodPost, origin+"/api/payments/a%2Fb", accessToken, tokentest.Claim("nonce", given)))
	if renewal, err := v.Check(t.Context(), r, accessToken, key.JKT()); renewal != "" || err != nil {
		t.Errorf("%q, %v", renewal, err)
	}
}

func TestNoncesOfManyGoroutines(t *testing.T) {
	t.Parallel()
	n, err := dpop.NewNonces(nonceKey, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := n.Current()
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 100 {
				if got := n.Current(); len(got) != len(want) {
					t.Errorf("got %q", got)
				}
			}
		})
	}
	callers.Wait()
}

func TestNewNoncesRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		key    []byte
		period time.Duration
	}{
		"short key":   {nonceKey[:31], 0},
		"no key":      {nil, 0},
		"a second":    {nonceKey, time.Second},
		"a day":       {nonceKey, 24 * time.Hour},
		"less than 0": {nonceKey, -time.Minute},
	} {
		if _, err := dpop.NewNonces(test.key, test.period, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	v := newVerifier(t, nil)
	if v.Nonce() != "" {
		t.Error("a nonce that nobody asks for")
	}
}

package revocation_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/revocation"
	"github.com/open-tollgate/tollgate/internal/token"
)

const (
	issuerA = "https://a.example.com"
	issuerB = "https://b.example.com"
)

var noon = time.Unix(1800000000, 0)

// clock is a time that a test sets.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// revoked asks without any time: a Memory does not need it.
func revoked(t testing.TB, by token.Revocations, tok *token.Token) bool {
	t.Helper()
	is, err := by.Revoked(tok, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return is
}

func revoke(t testing.TB, by revocation.Publisher, list ...revocation.Revocation) {
	t.Helper()
	for _, r := range list {
		if err := by.Revoke(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatIsRevoked(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		by    revocation.Revocation
		token token.Token
		want  bool
	}{
		{"token", revocation.OfToken(issuerA, "1", noon.Add(time.Hour)), token.Token{Issuer: issuerA, ID: "1"}, true},
		{"another token", revocation.OfToken(issuerA, "1", noon.Add(time.Hour)), token.Token{Issuer: issuerA, ID: "2"}, false},
		{"same id of another issuer", revocation.OfToken(issuerA, "1", noon.Add(time.Hour)), token.Token{Issuer: issuerB, ID: "1"}, false},
		{"id of a grant", revocation.OfToken(issuerA, "1", noon.Add(time.Hour)), token.Token{Issuer: issuerA, GrantID: "1", Subject: "1"}, false},
		{"just expired by its clock", revocation.OfToken(issuerA, "1", noon.Add(-time.Minute)), token.Token{Issuer: issuerA, ID: "1"}, true},
		{"grant", revocation.OfGrant(issuerA, "g", noon), token.Token{Issuer: issuerA, ID: "1", GrantID: "g"}, true},
		{"grant, issued later", revocation.OfGrant(issuerA, "g", noon), token.Token{Issuer: issuerA, GrantID: "g", IssuedAt: noon.Add(time.Hour)}, true},
		{"another grant", revocation.OfGrant(issuerA, "g", noon), token.Token{Issuer: issuerA, GrantID: "h"}, false},
		{"no grant", revocation.OfGrant(issuerA, "g", noon), token.Token{Issuer: issuerA}, false},
		{"grant of another issuer", revocation.OfGrant(issuerA, "g", noon), token.Token{Issuer: issuerB, GrantID: "g"}, false},
		{"subject, issued before", revocation.OfSubject(issuerA, "u", noon), token.Token{Issuer: issuerA, Subject: "u", IssuedAt: noon.Add(-time.Second)}, true},
		{"subject, issued then", revocation.OfSubject(issuerA, "u", noon), token.Token{Issuer: issuerA, Subject: "u", IssuedAt: noon}, false},
		{"subject, issued in that second", revocation.OfSubject(issuerA, "u", noon.Add(time.Second/2)), token.Token{Issuer: issuerA, Subject: "u", IssuedAt: noon}, true},
		{"subject, nobody knows when", revocation.OfSubject(issuerA, "u", noon), token.Token{Issuer: issuerA, Subject: "u"}, true},
		{"another subject", revocation.OfSubject(issuerA, "u", noon), token.Token{Issuer: issuerA, Subject: "v"}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := revocation.NewMemory(0, func() time.Time { return noon })
			revoke(t, m, test.by)
			if got := revoked(t, m, &test.token); got != test.want {
				t.Errorf("revoked: %v", got)
			}
		})
	}
}

func TestLaterRevocationsOnlyAdd(t *testing.T) {
	t.Parallel()
	m := revocation.NewMemory(0, func() time.Time { return noon })
	revoke(t, m, revocation.OfSubject(issuerA, "u", noon), revocation.OfSubject(issuerA, "u", noon.Add(-time.Hour)))
	if !revoked(t, m, &token.Token{Issuer: issuerA, Subject: "u", IssuedAt: noon.Add(-time.Minute)}) {
		t.Error("an older revocation takes the newer one back")
	}
	if m.Len() != 1 {
		t.Errorf("%d entries", m.Len())
	}
}

func TestNotRevocations(t *testing.T) {
	t.Parallel()
	end := noon.Add(time.Hour)
	long := string(make([]byte, 513))
	for name, r := range map[string]revocation.Revocation{
		"empty":                   {},
		"no issuer":               revocation.OfToken("", "1", end),
		"no id":                   revocation.OfToken(issuerA, "", end),
		"no end":                  revocation.OfToken(issuerA, "1", time.Time{}),
		"two names":               {Issuer: issuerA, TokenID: "1", GrantID: "g", Until: end},
		"a token before a time":   {Issuer: issuerA, TokenID: "1", Before: noon, Until: end},
		"a subject without time":  {Issuer: issuerA, Subject: "u", Until: end},
		"an id that is too long":  revocation.OfToken(issuerA, long, end),
		"an issuer of any length": revocation.OfToken(long, "1", end),
	} {
		m := revocation.NewMemory(0, func() time.Time { return noon })
		if err := m.Revoke(t.Context(), r); !errors.Is(err, revocation.ErrInvalid) || m.Len() != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	const size = 3200
	c := &clock{at: noon}
	m := revocation.NewMemory(size, c.now)
	full := 0
	for i := range 2 * size {
		err := m.Revoke(t.Context(), revocation.OfToken(issuerA, fmt.Sprint("first ", i), noon.Add(time.Minute)))
		if errors.Is(err, revocation.ErrFull) {
			full++
		}
	}
	if m.Len() > size || m.Len() < size*9/10 || m.Len()+full != 2*size {
		t.Errorf("%d entries of %d, %d refused", m.Len(), size, full)
	}
	if !revoked(t, m, &token.Token{Issuer: issuerA, ID: "first 0"}) {
		t.Error("one that is in force was forgotten for another")
	}
	c.add(5 * time.Minute) // all of them have expired
	for i := range size / 2 {
		revoke(t, m, revocation.OfToken(issuerA, fmt.Sprint("second ", i), c.now().Add(time.Minute)))
	}
	if !revoked(t, m, &token.Token{Issuer: issuerA, ID: "second 0"}) {
		t.Error("no room after the others ended")
	}
	revoke(t, m, revocation.OfToken(issuerA, "old", noon)) // says nothing about a token that is still valid
	if revoked(t, m, &token.Token{Issuer: issuerA, ID: "old"}) {
		t.Error("remembers what has ended")
	}
}

// Entries that have ended go while new ones come, long before the memory is full.
func TestMemoryForgetsAlongTheWay(t *testing.T) {
	t.Parallel()
	c := &clock{at: noon}
	m := revocation.NewMemory(0, c.now)
	for i := range 100_000 {
		revoke(t, m, revocation.OfToken(issuerA, fmt.Sprint(i), c.now().Add(time.Minute)))
		c.add(100 * time.Millisecond) // 1,800 are in force at a time
	}
	if n := m.Len(); n > 2*1800+32*64 {
		t.Errorf("%d entries are held", n)
	}
}

func TestAskingDoesNotAllocate(t *testing.T) {
	m := revocation.NewMemory(0, nil)
	revoke(t, m, revocation.OfToken(issuerA, "1", time.Now().Add(time.Hour)),
		revocation.OfGrant(issuerA, "1", time.Now()), revocation.OfSubject(issuerA, "1", time.Now()))
	tok := &token.Token{Issuer: issuerA, ID: "2", GrantID: "2", Subject: "2"}
	if n := testing.AllocsPerRun(1000, func() { revoked(t, m, tok) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRevoked(b *testing.B) {
	for name, held := range map[string]int{"none": 0, "10000": 10_000} {
		b.Run(name, func(b *testing.B) {
			m := revocation.NewMemory(0, nil)
			for i := range held {
				revoke(b, m, revocation.OfToken(issuerA, fmt.Sprint("t", i), time.Now().Add(time.Hour)),
					revocation.OfGrant(issuerA, fmt.Sprint("g", i), time.Now()),
					revocation.OfSubject(issuerA, fmt.Sprint("s", i), time.Now()))
			}
			tok := &token.Token{Issuer: issuerA, ID: "0f8fad5b-d9cb-469f-a165-70867728950e", GrantID: "g", Subject: "s"}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if is, err := m.Revoked(tok, noon); is || err != nil {
						b.Fail()
					}
				}
			})
		})
	}
}

package access_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/open-tollgate/tollgate/internal/access"
)

// FuzzAuthorization: only the good token passes, and refusals are in the vocabulary.
func FuzzAuthorization(f *testing.F) {
	s := newResource(f)
	good := s.issuer.Token()
	for _, seed := range []string{"Bearer " + good, "bearer " + good, "DPoP " + good, "Basic dTpw", "Bearer", "", "Bearer a b", "Bearer =", `Bearer "a"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		tok, p := s.checker.Check(request(field))
		if (tok == nil) == (p == nil) {
			t.Fatal("neither or both")
		}
		if p == nil {
			if scheme, raw, _ := strings.Cut(field, " "); !strings.EqualFold(scheme, "Bearer") || strings.TrimLeft(raw, " ") != good {
				t.Fatalf("accepted %q", field)
			}
			return
		}
		if !slices.Contains(access.Reasons(), p.Reason) || p.Status != 400 && p.Status != 401 || p.Header.Get("WWW-Authenticate") == "" {
			t.Fatalf("%d %s", p.Status, p.Reason)
		}
	})
}

func TestWarmCheckHardlyAllocates(t *testing.T) {
	s := newResource(t)
	r := request("Bearer " + s.issuer.Token())
	allocations := testing.AllocsPerRun(1000, func() {
		if _, p := s.checker.Check(r); p != nil {
			t.Fatal(p)
		}
	})
	if allocations > 0 {
		t.Errorf("%v allocations", allocations)
	}
}

func BenchmarkCheckWarm(b *testing.B) {
	s := newResource(b)
	r := request("Bearer " + s.issuer.Token())
	b.ReportAllocs()
	for b.Loop() {
		if _, p := s.checker.Check(r); p != nil {
			b.Fatal(p)
		}
	}
}

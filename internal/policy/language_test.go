package policy

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"
)

func globbed(patterns ...string) condition {
	expr := globExpression(patterns)
	return condition{expr: expr}
}

// TestTextsAreOfEveryKind makes random texts, and wants one like each of them: for which
// the same conditions hold.
func TestTextsAreOfEveryKind(t *testing.T) {
	t.Parallel()
	pool := []condition{
		globbed("/a/*"), globbed("/a", "/b*"), globbed("*b*"), globbed("*.a"), globbed("/a/*/b"), globbed("/?b"), globbed("/[ab]/a"), globbed("*"), globbed("/[^a]/*"), globbed("/[b-"), globbed("/[z-a]*a"),
		{expr: `^/a$`}, {expr: `b{2,3}`}, {expr: `^/(a|b)+/?$`}, {expr: `\bb\b`}, {expr: `(?i)^/AB`}, {expr: `[^a]$`}, {expr: `a.a`}, {expr: `^$|b/`}, {expr: `A`},
	}
	const alphabet = "/ab.AB"
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		var conditions []condition
		for _, n := range r.Perm(len(pool))[:1+r.IntN(5)] {
			conditions = append(conditions, pool[n])
		}
		classOf := func(text string) (class []bool) {
			for _, c := range conditions {
				class = append(class, regexp.MustCompile(c.expr).MatchString(text))
			}
			return class
		}
		all, whole, _ := textsOf(t.Context(), conditions, letters{path: true, allowed: inPath}, maxWork)
		if !whole {
			t.Fatalf("%v: too many", conditions)
		}
		known := make(map[string]bool)
		for _, text := range all {
			class := fmt.Sprint(classOf(text))
			if cleanPath(text) != text || known[class] {
				t.Errorf("%v: %q is not clean, or one too many", conditions, text)
			}
			known[class] = true
		}
		for range 3000 {
			text := "/"
			for range r.IntN(8) {
				text += string(alphabet[r.IntN(len(alphabet))])
			}
			if text = cleanPath(text); !known[fmt.Sprint(classOf(text))] {
				t.Fatalf("%v: none of %q is like %q", conditions, all, text)
			}
		}
	}
}

// TestViewsAreFollowed holds what a rewrite makes of a path to how it is seen.
func TestViewsAreFollowed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		seen    view
		expr    string
		matches []string
		others  []string
	}{
		{view{cut: "/api"}, `^/x$`, []string{"/api/x", "/apix", "/API/x"}, []string{"/x", "/api/", "/api/x/"}},
		{view{cut: "/api"}, `^/$`, []string{"/api", "/api/"}, []string{"/", "/api/x"}},
		{view{before: "/v1"}, `^/v1/x`, []string{"/x", "/xy"}, []string{"/v1/x", "/y"}},
		{view{after: "/end"}, `x/end$`, []string{"/x"}, []string{"/x/end"}},
		{view{cut: "/a", before: "/b"}, `^/b/c`, []string{"/a/c"}, []string{"/c", "/b/c"}},
	} {
		for _, texts := range [][]string{test.matches, test.others} {
			for _, text := range texts {
				all, whole, _ := textsOf(t.Context(), []condition{{test.expr, test.seen}, {expr: "^" + regexp.QuoteMeta(text) + "$"}}, letters{path: true, allowed: inPath}, maxWork)
				m := new(machine)
				c, err := compile(condition{test.expr, test.seen})
				if err != nil || !whole {
					t.Fatal(err)
				}
				m.all, m.begin.threads, m.begin.before = []*compiledCondition{c}, c.begin(0), edgeOfText
				s := m.begin
				for _, r := range text {
					s, _ = m.step(s, r)
				}
				if got, want := len(m.holds(s)) > 0, slices.Contains(test.matches, text); got != want {
					t.Errorf("%+v %s: %s: %v, of %q", test.seen, test.expr, text, got, all)
				}
			}
		}
	}
}

// TestTooManyTextsAreSaid: nobody waits for all combinations of many words.
func TestTooManyTextsAreSaid(t *testing.T) {
	t.Parallel()
	var conditions []condition
	for n := range 60 {
		conditions = append(conditions, condition{expr: fmt.Sprintf("w%dx", n)})
	}
	all, whole, _ := textsOf(t.Context(), conditions, letters{path: true, allowed: inPath}, maxWork)
	if whole || len(all) < len(conditions) {
		t.Errorf("%d texts, all of them: %v", len(all), whole)
	}
}

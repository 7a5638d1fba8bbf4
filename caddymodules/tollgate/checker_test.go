package tollgate

import (
	"slices"
	"strings"
	"testing"

	"github.com/open-tollgate/tollgate/internal/access"
)

func TestSelect(t *testing.T) {
	t.Parallel()
	one := &Issuer{URL: "https://one.test", Audiences: []string{"a", "b"}}
	two := &Issuer{URL: "https://two.test", Audiences: []string{"b", "c"}}
	app := &App{Issuers: []*Issuer{one, two}}
	tests := []struct {
		name            string
		urls, audiences []string
		want            string // URL and audiences of each issuer, or the beginning of the error
	}{
		{"all", nil, nil, "https://one.test:a,b https://two.test:b,c"},
		{"one issuer", []string{"https://two.test"}, nil, "https://two.test:b,c"},
		{"one audience", nil, []string{"b"}, "https://one.test:b https://two.test:b"},
		{"audience of one", nil, []string{"c"}, "https://two.test:c"},
		{"both", []string{"https://one.test"}, []string{"b", "a"}, "https://one.test:a,b"},
		{"unknown issuer", []string{"https://one.test/"}, nil, `unknown issuer "https://one.test/"`},
		{"issuer twice", []string{"https://one.test", "https://one.test"}, nil, "issuer https://one.test is there twice"},
		{"unknown audience", nil, []string{"d"}, `audience "d"`},
		{"audience of another", []string{"https://one.test"}, []string{"c"}, `audience "c"`},
	}
	for _, test := range tests {
		issuers, err := app.Select(test.urls, test.audiences)
		var got []string
		for _, issuer := range issuers {
			got = append(got, issuer.URL+":"+strings.Join(issuer.Audiences, ","))
		}
		if err != nil {
			got = []string{err.Error()}
		}
		if !strings.HasPrefix(strings.Join(got, " "), test.want) {
			t.Errorf("%s: %q", test.name, got)
		}
	}
	if !slices.Equal(one.Audiences, []string{"a", "b"}) {
		t.Errorf("the configuration was changed: %q", one.Audiences)
	}
	if _, err := new(App).Select(nil, nil); err == nil {
		t.Error("no issuer is fine")
	}
}

// TestCurrent follows the checker of one API over a reload.
func TestCurrent(t *testing.T) {
	own, other := new(access.Checker), new(access.Checker)
	before := &App{generation: generations.Add(1)}
	after := &App{
		generation: generations.Add(1),
		checkers:   map[string]*access.Checker{"kept": other},
		apis:       map[string]string{"kept": "", "public": ""},
	}
	expect := func(when, api string, want *access.Checker) {
		t.Helper()
		if got := before.Current(api, own); got != want {
			t.Errorf("%s: %s has %p, want %p", when, api, got, want)
		}
	}
	expect("before the start", "kept", own)
	before.takeOver()
	expect("while it runs", "kept", own)
	if got := after.Current("kept", other); got != other {
		t.Error("a newer configuration asks an older one")
	}
	after.takeOver()
	before.handBack()
	expect("after the reload", "kept", other)
	expect("after the reload", "public", own)
	expect("after the reload", "gone", nil)
	after.handBack()
	expect("at the end", "kept", own)
}

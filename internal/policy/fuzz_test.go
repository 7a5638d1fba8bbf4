package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

// probes are requests that a configuration has to have an answer for.
func probes() []Request {
	token := NewToken(map[string]any{"iss": "https://i", "aud": "a", "scope": "x", "sub": "s", "client_id": "c"}, "ES256")
	return []Request{
		{Method: "GET", Host: "h", Target: "/", Remote: netip.MustParseAddr("192.0.2.1"), Header: map[string][]string{}},
		{Method: "POST", Host: "a.h", Target: "/a/b.json?x=1&y", TLS: true, Remote: netip.MustParseAddr("2001:db8::1"), Token: token, SentAs: Bearer, Header: map[string][]string{"X-A": {"1"}}},
		{Method: "get", Host: "", Target: "/%41//x;y", Token: token, SentAs: DPoP},
	}
}

// FuzzParse reads configurations of any shape: each is refused, or all that can be asked
// of it has an answer. It can be compared with another one, and differs not from itself.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"{}", large(2, "x"), site(post, fine), zone(`"key":"all","kind":"gcra","burst":2,"cost":{"value":"{http.request.header.X-A}","default":1}`), clientCertificate("10.0.0.0/8", true),
		edge(`{"match":[{"not":[{"path":["/a*"]}],"header":{"X-A":null},"query":{"x":["*"]},"expression":"true"}],"group":"g","terminal":true,"handle":[{"handler":"subroute","routes":[{"handle":[{"handler":"error","status_code":404}]}],"errors":{"routes":[{"handle":[{"handler":"static_response"}]}]}}]}`),
		`{"apps":{"http":{"servers":{"s":{"listen":[":80"],"named_routes":{"a":{"handle":[{"handler":"invoke","name":"a"}]}},"routes":[{"handle":[{"handler":"invoke","name":"a"}]}]}}}}}`,
		`{"apps":{"http":{"servers":{"s":null}},"tollgate":{"issuers":[null]}}}`,
	} {
		f.Add([]byte(seed))
	}
	every, err := os.ReadFile("testdata/every-setting.json")
	if err != nil {
		f.Fatal(err)
	}
	base, err := Parse(every)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse(text)
		if err != nil {
			return
		}
		if hash, err := Hash(text); err != nil || hash != c.Hash {
			t.Errorf("hash %s, %v, and the model's is %s", hash, err, c.Hash)
		}
		if d := within(t, c, c); len(d.Changes) > 0 {
			t.Errorf("differs from itself: %s", compact(d.Changes))
		}
		within(t, base, c)
		within(t, c, base)
		var out bytes.Buffer
		r := NewReport(c)
		if err := r.WriteJSON(&out); err != nil || !json.Valid(out.Bytes()) {
			t.Errorf("no report: %v", err)
		}
		if err := r.WriteText(&out); err != nil {
			t.Error(err)
		}
		if err := r.WriteHTML(&out, "x"); err != nil {
			t.Error(err)
		}
		Lint(c, LintOptions{})
		for _, s := range c.Servers {
			for _, request := range probes() {
				for _, judge := range []*Judge{nil, {Now: time.Unix(1e9, 0), Counts: make(Counts)}} {
					outcomes := c.Evaluate(s, request, judge)
					if len(outcomes) == 0 || MostOpen(outcomes).Kind == "" {
						t.Errorf("%s %s has no outcome", request.Method, request.Target)
					}
					c.MayAlso(&outcomes[0])
				}
			}
		}
	})
}

// within compares two, for no longer than a fuzzer waits.
func within(t *testing.T, before, after *Config) *DiffResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	d := DiffWithin(ctx, before, after, time.Unix(1e9, 0), 1)
	for _, cut := range d.Cut {
		if strings.Contains(cut, "failed at") {
			t.Errorf("the comparison failed: %s", cut)
		}
	}
	if err := d.WriteText(io.Discard); err != nil {
		t.Error(err)
	}
	return d
}

// FuzzUnknown puts a handler and a matcher of any name in front of an open answer, and in
// front of a closed one: what is not known counts as open, and is named.
func FuzzUnknown(f *testing.F) {
	for _, seed := range []string{"expression", "waf", "http", "", "vars", "Path", "header", "reverse_proxy2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		quoted, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		if p := (&parser{config: new(Config), server: new(Server)}); isUnknown(p.handler("", append(append([]byte(`{"handler":`), quoted...), '}'))) {
			o := answers(t, `{"handle":[{"handler":`+string(quoted)+`}]},{"handle":[{"handler":"static_response","status_code":403}]}`)
			if !o.Admits() || len(o.Open) == 0 {
				t.Errorf("handler %q: %s, open %v", name, o, o.Open)
			}
		}
		m, err := (&parser{config: new(Config), server: new(Server)}).matcher("", name, json.RawMessage(`"x"`))
		if _, unknown := m.(unknownMatcher); err == nil && unknown {
			o := answers(t, `{"match":[{`+string(quoted)+`:"x"}],"handle":[{"handler":"static_response","status_code":200}]},{"handle":[{"handler":"static_response","status_code":403}]}`)
			if !o.Admits() || len(o.Open) == 0 {
				t.Errorf("matcher %q: %s, open %v", name, o, o.Open)
			}
		}
	})
}

func isUnknown(h Handler) bool {
	_, unknown := h.(*Unknown)
	return unknown
}

// answers gives the most open answer to a plain request.
func answers(t *testing.T, routes string) *Outcome {
	t.Helper()
	c := parsed(t, edge(routes))
	return MostOpen(c.Evaluate(c.Servers[0], probes()[0], nil))
}

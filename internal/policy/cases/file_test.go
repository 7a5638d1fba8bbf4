package cases

import (
	"strings"
	"testing"
)

const oneCase = `
cases:
  - name: one
    request: {url: "https://edge.test/a"}
    expect: {status: 200}
`

// TestMistakesNameFileAndLine holds every mistake to being said with its place.
func TestMistakesNameFileAndLine(t *testing.T) {
	t.Parallel()
	step := func(request, expect string) string {
		return "cases:\n  - name: one\n    request: {url: \"https://edge.test/a\"" + request + "}\n    expect: {status: 200" + expect + "}\n"
	}
	for name, test := range map[string]struct{ text, says string }{
		"empty":                      {"", "f.yaml: no cases"},
		"a comment alone":            {"# nothing\n", "f.yaml: no cases"},
		"no list":                    {"cases:\n", "f.yaml:1: cases: want a list"},
		"an empty list":              {"cases: []\n", "f.yaml:1: no cases"},
		"not YAML":                   {"cases:\n  - name: [\n", "f.yaml:"},
		"two documents":              {oneCase + "---\ncases: []\n", "more than one YAML document"},
		"a list":                     {"- a\n", "f.yaml:1: file: want fields"},
		"unknown field of the file":  {"casse: []\n", `f.yaml:1: file: unknown field "casse": want base, cases, tokens`},
		"unknown field of a case":    {"cases:\n  - name: a\n    requests: {}\n", `f.yaml:3: case: unknown field "requests"`},
		"unknown field of a request": {step(", methd: GET", ""), `f.yaml:3: request: unknown field "methd"`},
		"unknown field of expect":    {step("", ", staus: 1"), `f.yaml:4: expect: unknown field "staus"`},
		"unknown field of a token":   {step(", token: {scpoe: a}", ""), `f.yaml:3: token: unknown field "scpoe"`},
		"unknown field of a proof":   {step(", token: {dpop: k}, proof: {jti: 1}", ""), `f.yaml:3: proof: unknown field "jti"`},
		"a field twice":              {step(", method: GET, method: POST", ""), "f.yaml:3: request: method is there twice"},
		"a zone twice":               {step("", ", remaining: {a: 1, a: 2}"), "f.yaml:4: remaining: a is there twice"},
		"a header twice":             {step(`, headers: {A: "1", A: "2"}`, ""), "f.yaml:3: headers: A is there twice"},
		"no name":                    {"cases:\n  - request: {url: \"https://edge.test\"}\n    expect: {status: 200}\n", "f.yaml:2: a case needs a name"},
		"a name twice":               {oneCase + strings.TrimPrefix(oneCase, "\ncases:\n"), `f.yaml:6: case "one" is there twice, first on line 3`},
		"no expectation":             {"cases:\n  - name: a\n    request: {url: \"https://edge.test\"}\n", "f.yaml:2: want request and expect"},
		"expects nothing":            {"cases:\n  - name: a\n    request: {url: \"https://edge.test\"}\n    expect: {}\n", "f.yaml:4: expect: want a status"},
		"status and connection":      {step("", ", connection: refused"), "f.yaml:4: expect: want a status, or a connection"},
		"steps and request":          {"cases:\n  - name: a\n    request: {}\n    steps: []\n", `f.yaml:2: case "a": want request and expect, or steps`},
		"steps without a request":    {"cases:\n  - name: a\n    steps: [{wait: 1m}]\n", "sends no request"},
		"a wait backwards":           {"cases:\n  - name: a\n    steps:\n      - wait: -1m\n", "f.yaml:4: wait: time goes forwards alone"},
		"a wait too long":            {"cases:\n  - name: a\n    steps:\n      - wait: 367d\n", "longer than 366d"},
		"a wait that is a request":   {"cases:\n  - name: a\n    steps:\n      - {wait: 1m, request: {}}\n", "wait is a step of its own"},
		"not a duration":             {"cases:\n  - name: a\n    steps:\n      - wait: soon\n", `"soon" is not a duration`},
		"no URL":                     {"cases:\n  - name: a\n    request: {url: /a}\n    expect: {status: 200}\n", "nor a path where the file has a base"},
		"a URL with a user":          {"cases:\n  - name: a\n    request: {url: \"https://a@b/\"}\n    expect: {status: 200}\n", "is not an http or https URL"},
		"a URL with a line break":    {"cases:\n  - name: a\n    request: {url: \"https://edge.test/a b\"}\n    expect: {status: 200}\n", "has a blank in it"},
		"a method of two words":      {step(`, method: "GET /b"`, ""), "is none"},
		"a header that splits":       {step(`, headers: {A: "b\r\nC: d"}`, ""), `f.yaml:3: headers: "A" is no header field`},
		"a host header":              {step(`, headers: {Host: a}`, ""), "the host is that of the url"},
		"not an address":             {step(", address: here", ""), `f.yaml:3: address: "here" is not an IP address`},
		"an unknown token":           {step(", token: shop", ""), `f.yaml:3: token: "shop" is none of the file's tokens`},
		"a token called none":        {"tokens: {none: {}}\n" + oneCase, "f.yaml:1: tokens: none means that there is no token"},
		"a proof without a token":    {step(", proof: none", ""), "said of a token, and there is none"},
		"an unknown algorithm":       {step(", token: {algorithm: HS256}", ""), "is not ES256 or EdDSA or PS256 or RS256"},
		"an opaque JWT":              {step(", token: {opaque: true, algorithm: ES256}", ""), "an opaque one has no algorithm"},
		"an inactive JWT":            {step(", token: {inactive: true}", ""), "inactive is what an issuer says of an opaque token"},
		"repeat too often":           {step(", repeat: 100001", ""), "not a number from 1 to 100000"},
		"remaining nothing":          {step("", ", remaining: {a: many}"), "not a number from 0"},
		"untrusted nothing":          {step(", untrusted: true", ""), "untrusted is said of a certificate"},
		"a body twice":               {step(", body: a, body_size: 1", ""), "body and body_size both"},
		"not a flag":                 {step("", ", forwarded: maybe"), `"maybe" is not true or false`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("f.yaml", []byte(test.text))
			if err == nil || !strings.HasPrefix(err.Error(), "f.yaml") || !strings.Contains(err.Error(), test.says) {
				t.Errorf("want %q, got %v", test.says, err)
			}
		})
	}
}

// TestParse reads what a file can say.
func TestParse(t *testing.T) {
	t.Setenv("CASES_TEST_HOST", "api.test")
	f, err := Parse("f.yaml", []byte(`
base: "https://{$CASES_TEST_HOST:localhost}:{$CASES_TEST_NO_PORT:8443}"
tokens:
  shop: &shop {client: shop, scope: [a, "b"], claims: {tier: gold, level: 3}, authenticated: 10s, details: [payment, {type: account}]}
cases:
  - name: two steps
    steps:
      - request: {method: POST, url: "/x/../y?a=b#c", token: shop, body: "{}", headers: {A: ["1", "2"]}, after: 3}
        expect: {status: 429, reason: quota_exceeded, api: null, remaining: {z: 0}}
      - wait: 2d
      - request: {url: "http://other.test", token: none}
        expect: {connection: aborted}
`))
	if err != nil {
		t.Fatal(err)
	}
	c := f.Cases[0]
	if c.Line != 6 || len(c.Steps) != 3 || c.Steps[1].Wait.Hours() != 48 {
		t.Errorf("%+v", c)
	}
	first := c.Steps[0].Request
	secure, host, target, err := first.target()
	if err != nil || !secure || host != "api.test:8443" || target != "/x/../y?a=b" {
		t.Errorf("the URL is not as it is written: %v %s %s %v", secure, host, target, err)
	}
	if token := first.Token; strings.Join(token.Scope, " ") != "a b" || token.Claims["level"] != 3 || len(token.Details) != 2 || token.LoggedIn.Seconds() != 10 {
		t.Errorf("%+v", token)
	}
	if e := c.Steps[0].Expect; e.API == nil || *e.API != "" || *e.Reason != "quota_exceeded" || e.Remaining["z"] != 0 {
		t.Errorf("%+v", e)
	}
	if second := c.Steps[2].Request; second.Token != nil || second.Method != "GET" || c.Steps[2].Expect.Connection != Aborted {
		t.Errorf("%+v", second)
	}
}

// FuzzParse holds the parser to ending with cases or with an error that names the file.
func FuzzParse(f *testing.F) {
	f.Add([]byte(oneCase))
	f.Add([]byte("tokens: {a: &a {scope: b}}\ncases: [{name: x, steps: [{wait: 1m}, {request: {url: 'http://a', token: *a}, expect: {status: 200}}]}]"))
	f.Add([]byte("a: &a [*a]\ncases: *a"))
	f.Add([]byte("cases: &a [*a, *a]\n"))
	f.Add([]byte("tokens: {a: {claims: {b: 0x1F, c: .inf, d: 2001-01-01, e: !!binary aGk=}}}\ncases: [{name: a, request: {url: 'https://[::1]:1'}, expect: {status: 200}}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Parse("f.yaml", text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f.yaml") {
				t.Fatalf("no file in %v", err)
			}
			return
		}
		for _, c := range file.Cases {
			for _, s := range c.Steps {
				if s.Request == nil {
					continue
				}
				if _, _, _, err := s.Request.target(); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

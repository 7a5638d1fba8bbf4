package jose

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

func seg(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// compact makes a message with a header and something in the other parts.
func compact(header string) string { return seg(header) + "." + seg("{}") + "." + seg("sig") }

func TestParseCompactRefuses(t *testing.T) {
	t.Parallel()
	good := compact(`{"alg":"ES256"}`)
	if _, err := ParseCompact(good); err != nil {
		t.Fatalf("good message: %v", err)
	}
	tests := map[string]string{
		"nothing":                   "",
		"one part":                  seg(`{"alg":"ES256"}`),
		"two parts":                 seg(`{"alg":"ES256"}`) + "." + seg("{}"),
		"four parts":                good + ".e30",
		"five parts, a JWE":         good + ".e30.e30",
		"detached payload":          seg(`{"alg":"ES256"}`) + ".." + seg("sig"),
		"empty signature":           seg(`{"alg":"ES256"}`) + "." + seg("{}") + ".",
		"empty header":              "." + seg("{}") + "." + seg("sig"),
		"JSON serialization":        `{"payload":"e30","protected":"` + seg(`{"alg":"ES256"}`) + `","signature":"c2ln"}`,
		"padding":                   good + "=",
		"padding in the header":     base64.URLEncoding.EncodeToString([]byte(`{"alg":"ES256"} `)) + "." + seg("{}") + ".c2ln",
		"standard alphabet":         seg(`{"alg":"ES256"}`) + ".e30.+/+/",
		"trailing bits":             seg(`{"alg":"ES256"}`) + ".e31.c2ln",
		"trailing bits, signature":  seg(`{"alg":"ES256"}`) + ".e30.c2lnMR",
		"leading space":             " " + good,
		"trailing line break":       good + "\n",
		"line break inside":         seg(`{"alg":"ES256"}`) + ".e3\n0.c2ln",
		"carriage return inside":    seg(`{"alg":"ES256"}`) + ".e30.c2\rln",
		"too long":                  good + strings.Repeat("A", MaxSize),
		"header is an array":        compact(`[]`),
		"header twice":              compact(`{"alg":"ES256"}{"alg":"ES256"}`),
		"duplicate alg":             compact(`{"alg":"ES256","alg":"none"}`),
		"no alg":                    compact(`{}`),
		"alg is null":               compact(`{"alg":null}`),
		"alg is empty":              compact(`{"alg":""}`),
		"alg is a number":           compact(`{"alg":1}`),
		"alg is a list":             compact(`{"alg":["ES256"]}`),
		"typ is a number":           compact(`{"alg":"ES256","typ":1}`),
		"kid is a number":           compact(`{"alg":"ES256","kid":1}`),
		"kid is empty":              compact(`{"alg":"ES256","kid":""}`),
		"kid is null":               compact(`{"alg":"ES256","kid":null}`),
		"kid is long":               compact(`{"alg":"ES256","kid":"` + strings.Repeat("k", 257) + `"}`),
		"crit":                      compact(`{"alg":"ES256","crit":["exp"],"exp":1}`),
		"crit is empty":             compact(`{"alg":"ES256","crit":[]}`),
		"b64 is false":              compact(`{"alg":"ES256","b64":false}`),
		"b64 is true":               compact(`{"alg":"ES256","b64":true}`),
		"jku":                       compact(`{"alg":"ES256","jku":"https://evil.example"}`),
		"x5u":                       compact(`{"alg":"ES256","x5u":"https://evil.example"}`),
		"x5c":                       compact(`{"alg":"ES256","x5c":["MIIB"]}`),
		"jwk is a string":           compact(`{"alg":"ES256","jwk":"{}"}`),
		"crit spelled by an escape": compact(`{"alg":"ES256","cr\u0069t":["x"]}`),
	}
	for name, raw := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := ParseCompact(raw); !errors.Is(err, ErrMalformed) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// FuzzParseCompact: what parses has one spelling only, and no error quotes the input.
func FuzzParseCompact(f *testing.F) {
	f.Add(compact(`{"alg":"ES256","kid":"k","typ":"at+jwt"}`))
	f.Add(compact(`{"alg":"none"}`))
	f.Add("..")
	f.Add("e30.e30.e31")
	f.Fuzz(func(t *testing.T, raw string) {
		m, err := ParseCompact(raw)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error outside the vocabulary: %v", err)
			}
			return
		}
		if len(raw) > MaxSize || strings.Count(raw, ".") != 2 {
			t.Fatalf("accepted %d bytes", len(raw))
		}
		if parts := strings.Split(raw, "."); seg(string(m.Payload)) != parts[1] {
			t.Fatalf("a second spelling: %q", parts[1])
		}
	})
}

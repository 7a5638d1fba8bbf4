package policy

import (
	"strings"
	"testing"
	"time"
)

// TestDiffOfSettings changes what no single request shows, forwards and backwards.
func TestDiffOfSettings(t *testing.T) {
	t.Parallel()
	whole := strings.NewReplacer(`"listen":["127.0.0.1:443"]`, `"listen":["127.0.0.1:443"],"trusted_proxies":{"source":"static","ranges":["10.0.0.1"]}`,
		`[{}]`, `[{"protocol_min":"tls1.3","client_authentication":{"mode":"require_and_verify"}}]`,
		`"audit":{"dir":"/a"}`, `"audit":{"dir":"/a"},"redis":"redis://r","dpop":{"nonce":true},"client_certificate":{"header":"C","proxies":["10.0.0.1/32"]}`,
		`"audiences":["a"]`, `"audiences":["a"],"jwks_uri":"https://i/keys"`, `{"apps"`, `{"admin":{"listen":"localhost:2019"},"apps"`).Replace(site(`"audit":"required",`, fine))
	for name, test := range map[string]struct {
		from, to  string
		unordered bool // both directions are wider
	}{
		"without Redis":             {`"redis":"redis://r"`, `"redis":"off"`, false},
		"stale open":                {`"redis":"redis://r"`, `"redis":"redis://r","revocations":{"stale":"open"}`, false},
		"failures off":              {`"redis":"redis://r"`, `"redis":"redis://r","failures":{"off":true}`, false},
		"no nonce":                  {`"nonce":true`, `"nonce":false`, false},
		"a proxy more":              {`["10.0.0.1/32"]`, `["10.0.0.1/32","10.0.0.2/32"]`, false},
		"another header":            {`"header":"C"`, `"header":"D"`, true},
		"keys of somebody else":     {`https://i/keys`, `https://evil/keys`, true},
		"leeway":                    {`"jwks_uri"`, `"leeway":"1h","jwks_uri"`, false},
		"admin from elsewhere":      {`localhost:2019`, `0.0.0.0:2019`, false},
		"audit is not required":     {`"audit":"required"`, `"audit":""`, false},
		"no audit":                  {`"audit":"required"`, `"audit":"off"`, false},
		"listens elsewhere":         {`127.0.0.1:443`, `:443`, false},
		"other proxies":             {`["10.0.0.1"]`, `["10.0.0.0/8"]`, true},
		"older TLS":                 {`tls1.3`, `tls1.1`, false},
		"unverified certificates":   {`require_and_verify`, `require`, false},
		"no certificates are asked": {`"client_authentication":{"mode":"require_and_verify"}`, `"client_authentication":null`, false},
	} {
		other := strings.Replace(whole, test.from, test.to, 1)
		if other == whole {
			t.Fatalf("%s: nothing is changed", name)
		}
		before, after := parsed(t, whole), parsed(t, other)
		forth, back := Diff(before, after, time.Unix(1e9, 0)), Diff(after, before, time.Unix(1e9, 0))
		if !forth.Has(Widened) || forth.Has(Narrowed) {
			t.Errorf("%s: %+v", name, forth.Changes)
		}
		if want := map[bool]Direction{false: Narrowed, true: Widened}[test.unordered]; !back.Has(want) {
			t.Errorf("%s, backwards: not %s: %+v", name, want, back.Changes)
		}
		var text, markdown strings.Builder
		if err := forth.WriteText(&text); err != nil || !strings.Contains(text.String(), "widened  setting: ") {
			t.Errorf("%v: %s", err, &text)
		}
		if err := forth.WriteMarkdown(&markdown); err != nil || !strings.Contains(markdown.String(), "no single request") {
			t.Errorf("%v: %s", err, &markdown)
		}
	}
	if d := Diff(parsed(t, whole), parsed(t, whole), time.Unix(1e9, 0)); len(d.Changes) > 0 {
		t.Errorf("%+v", d.Changes[0])
	}
}

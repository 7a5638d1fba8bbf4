package require

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/open-tollgate/tollgate/internal/token"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	plain := &token.Token{
		Scopes: []string{"a", "b"},
		Claims: map[string]any{
			"text": "gold", "number": json.Number("3"), "flag": true, "list": []any{"x", json.Number("7"), []any{"nested"}},
			"object": map[string]any{"gold": true}, "null": nil,
		},
	}
	now := time.Unix(1_800_000_000, 0)
	strong := &token.Token{ACR: "gold", AuthTime: now.Add(-time.Minute), Scopes: []string{"a"}, Details: []token.Detail{{Type: "payment"}, {Type: "account"}}}
	bound := &token.Token{Confirmation: token.Confirmation{JKT: "k"}, Scopes: []string{"a"}}
	certified := &token.Token{Confirmation: token.Confirmation{X5TS256: "t"}}
	claim := func(name string, values ...string) Handler {
		return Handler{Claims: map[string][]string{name: values}}
	}
	tests := []struct {
		name    string
		handler Handler
		token   *token.Token
		status  int // 0: passes
		reason  string
	}{
		{"a scope", Handler{Scopes: []string{"a"}}, plain, 0, ""},
		{"both scopes", Handler{Scopes: []string{"a", "b"}}, plain, 0, ""},
		{"one missing", Handler{Scopes: []string{"a", "c"}}, plain, 403, "insufficient_scope"},
		{"part of a scope", Handler{Scopes: []string{"A"}}, plain, 403, "insufficient_scope"},
		{"text", claim("text", "silver", "gold"), plain, 0, ""},
		{"other case", claim("text", "Gold"), plain, 403, "claim_mismatch"},
		{"number", claim("number", "3"), plain, 0, ""},
		{"number spelt differently", claim("number", "3.0"), plain, 403, "claim_mismatch"},
		{"flag", claim("flag", "true"), plain, 0, ""},
		{"element", claim("list", "x"), plain, 0, ""},
		{"number element", claim("list", "7"), plain, 0, ""},
		{"nested element", claim("list", "nested"), plain, 403, "claim_mismatch"},
		{"object", claim("object", "gold"), plain, 403, "claim_mismatch"},
		{"null", claim("null", "null", ""), plain, 403, "claim_mismatch"},
		{"absent", claim("absent", ""), plain, 403, "claim_mismatch"},
		{"unbound", Handler{SenderConstrained: true}, plain, 401, "not_sender_constrained"},
		{"bound", Handler{SenderConstrained: true, Scopes: []string{"a"}}, bound, 0, ""},
		{"bound without scope", Handler{SenderConstrained: true, Scopes: []string{"z"}}, bound, 403, "insufficient_scope"},
		{"bound by DPoP", Handler{DPoP: true}, bound, 0, ""},
		{"not bound by DPoP", Handler{DPoP: true}, plain, 401, "not_sender_constrained"},
		{"bound by DPoP, not by a certificate", Handler{MTLS: true}, bound, 401, "not_sender_constrained"},
		{"bound by a certificate", Handler{MTLS: true, SenderConstrained: true}, certified, 0, ""},
		{"bound by a certificate, not by DPoP", Handler{MTLS: true, DPoP: true}, certified, 401, "not_sender_constrained"},
		{"both details", Handler{AuthorizationDetails: []string{"account", "payment"}}, strong, 0, ""},
		{"one of the details", Handler{AuthorizationDetails: []string{"payment", "card"}}, strong, 403, "insufficient_details"},
		{"no details", Handler{AuthorizationDetails: []string{"payment"}}, plain, 403, "insufficient_details"},
		{"one of the classes", Handler{ACR: []string{"silver", "gold"}}, strong, 0, ""},
		{"another class", Handler{ACR: []string{"platinum"}}, strong, 401, "insufficient_user_authentication"},
		{"no class", Handler{ACR: []string{"gold"}}, plain, 401, "insufficient_user_authentication"},
		{"recent", Handler{MaxAge: caddy.Duration(time.Minute)}, strong, 0, ""},
		{"long ago", Handler{MaxAge: caddy.Duration(59 * time.Second)}, strong, 401, "insufficient_user_authentication"},
		{"nobody knows when", Handler{MaxAge: caddy.Duration(time.Hour)}, plain, 401, "insufficient_user_authentication"},
		{"no login for what is refused anyhow", Handler{ACR: []string{"platinum"}, Scopes: []string{"z"}}, strong, 403, "insufficient_scope"},
	}
	for _, test := range tests {
		denial := test.handler.judge(test.token, now)
		switch {
		case denial == nil && test.status != 0:
			t.Errorf("%s passes", test.name)
		case denial != nil && (denial.Status != test.status || denial.Reason != test.reason):
			t.Errorf("%s: %d %s", test.name, denial.Status, denial.Reason)
		}
	}
}

func TestValidWord(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]bool{
		"payments:read": true, "https://x.test/a~b!": true, "": false, "a b": false, "a\"b": false, `a\b`: false, "é": false, "a\n": false,
	} {
		if validWord(word) != want {
			t.Errorf("%q: %v", word, !want)
		}
	}
}

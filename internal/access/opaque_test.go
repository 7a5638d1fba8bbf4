package access_test

import (
	"context"
	"testing"

	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/token"
)

// known are tokens that somebody else knows about, and what they stand for.
type known struct {
	tokens map[string]*token.Token
	reason token.Reason // of the others
	asked  int
}

func (k *known) Recall(string) (*token.Token, error) { return nil, nil }

func (k *known) Verify(_ context.Context, raw string) (*token.Token, error) {
	k.asked++
	if t, ok := k.tokens[raw]; ok {
		return t, nil
	}
	return nil, &token.Error{Reason: k.reason}
}

func TestOpaqueTokens(t *testing.T) {
	t.Parallel()
	s := newResource(t)
	const opaque = "2YotnFZFEjr1zCsicMWpAA"
	invalid := func(reason string) answer {
		return answer{401, reason, []string{`Bearer error="invalid_token", error_description="The token is not valid."`, bareDPoP}}
	}
	malformed := answer{400, "malformed_header", []string{`Bearer error="invalid_request"`}}
	for _, test := range []struct {
		name, raw string
		reason    token.Reason
		want      answer
		asked     int
	}{
		{"known", opaque, "", answer{}, 1},
		{"bound", "bound", "", answer{401, "bound_token_as_bearer",
			[]string{`Bearer error="invalid_token", error_description="The token is bound to a DPoP key."`, bareDPoP}}, 1},
		{"inactive", "x", token.Inactive, invalid("inactive"), 1},
		{"out of reach", "x", token.IntrospectionUnavailable, answer{503, "introspection_unavailable", nil}, 1},
		{"revocations out of reach", "x", token.RevocationsUnavailable, answer{503, "revocations_unavailable", nil}, 1},
		{"not a token at all", `"x"`, token.Inactive, malformed, 0},
		{"five parts", "a.b.c.d.e", token.Inactive, invalid("inactive"), 1},
		{"a JWT is judged here", s.issuer.Token(), token.Inactive, answer{}, 0},
		{"a bad JWT too", "a.b.c", token.Inactive, invalid("malformed"), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			by := &known{reason: test.reason, tokens: map[string]*token.Token{
				opaque: {Subject: "user-1"}, "bound": {Confirmation: token.Confirmation{JKT: "x"}},
			}}
			c := &access.Checker{Tokens: s.checker.Tokens, Proofs: s.checker.Proofs, Opaque: by}
			check(t, c, request("Bearer "+test.raw), test.want)
			if by.asked != test.asked {
				t.Errorf("asked %d times", by.asked)
			}
		})
	}
}

// Where there is nobody to judge JWTs, they are opaque as well.
func TestEverythingIsOpaque(t *testing.T) {
	t.Parallel()
	by := &known{tokens: map[string]*token.Token{"a.b.c": {Subject: "user-1"}}}
	check(t, &access.Checker{Opaque: by}, request("Bearer a.b.c"), answer{})
}

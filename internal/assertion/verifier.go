package assertion

import (
	"context"
	"errors"

	"github.com/open-tollgate/tollgate/internal/token"
)

// How an assertion says whose user its subject is (RFC 9493 sections 3.2.4 and 4.1).
const (
	subjectClaim  = "sub_id"
	issuerSubject = "iss_sub"
)

// errSubject is about an assertion that speaks of somebody else's users.
var errSubject = errors.New("an assertion about a subject of another issuer")

// Verifier verifies the tokens of an issuer, and the edge's assertions about these.
type Verifier struct {
	tokens       *token.Verifier
	edge, issuer string
}

// NewVerifier makes a Verifier. tokens verifies both kinds; edge is the issuer of
// assertions, and issuer the one whose users and clients the service knows.
func NewVerifier(tokens *token.Verifier, edge, issuer string) *Verifier {
	return &Verifier{tokens, edge, issuer}
}

// Verify gives the token that raw is, or that it stands for. Its errors are *token.Error.
func (v *Verifier) Verify(ctx context.Context, raw string) (*token.Token, error) {
	t, err := v.tokens.Verify(ctx, raw)
	return v.judge(t, err)
}

// Recall answers as Verify does if the token is remembered, and gives nothing if it is not.
func (v *Verifier) Recall(raw string) (*token.Token, error) {
	t, err := v.tokens.Recall(raw)
	return v.judge(t, err)
}

// judge refuses an assertion about another issuer's subject: what the edge takes from
// several issuers, a service that knows the users of one must not mix up.
func (v *Verifier) judge(t *token.Token, err error) (*token.Token, error) {
	if err != nil || t == nil || t.Issuer != v.edge {
		return t, err
	}
	about, _ := t.Claims[subjectClaim].(map[string]any)
	if about["format"] != issuerSubject || about["iss"] != v.issuer || about["sub"] != t.Subject {
		return nil, &token.Error{Reason: token.UnknownIssuer, Err: errSubject}
	}
	return t, nil
}

package auth

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
)

// withJTIs asks for a token with these jtis.
func (a *app) withJTIs(assertion, proof string) reply {
	a.w.t.Helper()
	return a.withClaims(set("jti", assertion), set("jti", proof))
}

// withClaims asks for a token with an assertion and a proof that are edited.
func (a *app) withClaims(assertion, proof edit) reply {
	a.w.t.Helper()
	form := ownForm("payments:create")
	form.Set("client_assertion", a.assertion(assertion))
	r := a.request(tokenPath, form)
	r.Header.Set("DPoP", dpopProof(a.w.t, a.proof, http.MethodPost, a.w.issuer+tokenPath, proof))
	return a.w.do(r)
}

// A jti passes once. Assertions and proofs are apart, and so are clients: the
// same jti in both, or at two clients, is nobody's replay.
func TestReplay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fapi := w.fapi2()
	other := w.app(Registration{ID: "other", Kind: "fapi2", GenerateKey: true})
	jti := uuid.NewString()
	fapi.withJTIs(jti, jti).ok(t)
	other.withJTIs(jti, jti).ok(t)
	fapi.withJTIs(jti, uuid.NewString()).wants(t, http.StatusUnauthorized, "invalid_client")
	fapi.withJTIs(uuid.NewString(), jti).wants(t, http.StatusBadRequest, "invalid_dpop_proof")
}

// A jti is remembered, through the clean-up, for as long as what bears it is
// good: its lifetime, and the leeway of clocks on top. The library's clock stays
// where it is, so that nothing but the memory refuses the replay.
func TestReplayAfterCleanUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fapi := w.fapi2()
	jti := uuid.NewString()
	fapi.withJTIs(jti, jti).ok(t)
	w.advance(jwtLifetime + clockLeeway + time.Second)
	w.server.cleanUp(t.Context())
	fapi.withJTIs(jti, uuid.NewString()).wants(t, http.StatusUnauthorized, "invalid_client")
	fapi.withJTIs(uuid.NewString(), jti).wants(t, http.StatusBadRequest, "invalid_dpop_proof")
}

// Five minutes are what an assertion may have left, and how old a proof may be.
func TestAssertionsAndProofsAreGoodForFiveMinutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fapi := w.fapi2()
	const within, beyond = 290, 310 // seconds: a slow machine takes some of its own
	expiresIn := func(seconds int64) edit { return set("exp", time.Now().Unix()+seconds) }
	issuedAgo := func(seconds int64) edit { return set("iat", time.Now().Unix()-seconds) }
	fapi.withClaims(expiresIn(within), issuedAgo(within)).ok(t)
	fapi.withClaims(expiresIn(beyond), issuedAgo(0)).wants(t, http.StatusUnauthorized, "invalid_client")
	fapi.withClaims(expiresIn(within), issuedAgo(beyond)).wants(t, http.StatusBadRequest, "invalid_dpop_proof")
}

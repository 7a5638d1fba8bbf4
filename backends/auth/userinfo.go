package auth

import (
	"net/http"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/open-tollgate/tollgate/backends/auth/internal/refusal"
	"github.com/open-tollgate/tollgate/internal/jose"
	"github.com/open-tollgate/tollgate/internal/problem"
)

var dpopChallenge = problem.NewChallenge("DPoP").With("algs", "ES256 PS256 EdDSA")

// userinfo tells a client with the scope openid who the user is: the sub. The
// profile is an API of its own.
func (s *Server) userinfo(w http.ResponseWriter, r *http.Request) {
	c := &call{path: userinfoPath}
	scheme, err := s.admitToken(r, c)
	if err == nil {
		err = readUserinfoForm(w, r, c)
	}
	if err != nil {
		s.logRefusal(r.Context(), c, err)
		refuseToken(w, scheme, err)
		return
	}
	if scheme == "" {
		// RFC 6750 section 3.1: nothing was sent, so nothing was wrong with it.
		w.Header().Add("WWW-Authenticate", "Bearer")
		w.Header().Add("WWW-Authenticate", dpopChallenge.String())
		problem.New(http.StatusUnauthorized, "missing_credentials", "Send an access token in the Authorization field.").Write(w)
		return
	}
	a := newAnswer()
	s.library.ServeHTTP(a, withCall(r, c))
	if c.cause != nil {
		refuseToken(w, scheme, c.cause)
		return
	}
	a.copyTo(w)
}

// admitToken refuses a bound token that comes as a bearer token (RFC 9449 section
// 7.1), and the other way round: the library takes any scheme.
func (s *Server) admitToken(r *http.Request, c *call) (scheme string, err error) {
	invalid := refusal.New(goidc.ErrorCodeInvalidToken, "Send one access token, in the Authorization field.")
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", nil
	}
	if len(values) != 1 || r.URL.RawQuery != "" {
		return "bearer", invalid
	}
	scheme, raw := schemeOf(values[0])
	if scheme != "bearer" && scheme != "dpop" {
		return "bearer", invalid
	}
	message, err := jose.ParseCompact(raw)
	if err != nil {
		return scheme, invalid
	}
	claims, err := jose.ParseObject(message.Payload)
	if err != nil {
		return scheme, invalid
	}
	if _, bound := claims["cnf"]; bound != (scheme == "dpop") {
		return scheme, refusal.New(goidc.ErrorCodeInvalidToken, "The token's kind is not that of the scheme.")
	}
	c.clientID, _ = claims["client_id"].(string) // the library verifies the signature before this is used
	return scheme, checkProof(r.Header)
}

// readUserinfoForm looks at the body of a POST: there need not be one. A token in
// it is refused, with one in the field beside it (RFC 6750 section 2) or without.
func readUserinfoForm(w http.ResponseWriter, r *http.Request, c *call) error {
	if r.Method != http.MethodPost || r.ContentLength == 0 {
		return nil
	}
	if err := readForm(w, r, c); err != nil {
		return err
	}
	if c.form.Has("access_token") {
		return refusal.New(goidc.ErrorCodeInvalidRequest, "The access token belongs into the Authorization field.")
	}
	return nil
}

func refuseToken(w http.ResponseWriter, scheme string, err error) {
	e := explain(err)
	if e.Code == refusal.InvalidDPoPProof {
		e.status = http.StatusUnauthorized // RFC 9449 section 7.1
	}
	if e.Code == goidc.ErrorCodeAccessDenied {
		e = oauthError{http.StatusForbidden, "insufficient_scope", "The scope openid is needed."}
	}
	challenge := problem.NewChallenge("Bearer")
	if scheme == "dpop" {
		challenge = dpopChallenge
	}
	if e.status == http.StatusUnauthorized || e.status == http.StatusForbidden {
		w.Header().Set("WWW-Authenticate", challenge.With("error", string(e.Code)).String())
	}
	e.write(w)
}

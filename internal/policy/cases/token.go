package cases

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/open-tollgate/tollgate/internal/policy"
	"github.com/open-tollgate/tollgate/internal/policy/mint"
)

// nobody signs tokens that are forged.
const nobody = "nobody"

// credentials are what the requests of a case bring.
type credentials struct {
	mint   *mint.Mint
	config *policy.Config
	edge   Edge

	minted map[*Token]*minted // a token is one for all of a case
	nonce  string             // that the edge has given out last
	proof  string             // that was sent last
}

// minted is a token as it is sent, and as the model knows it.
type minted struct {
	sent  string
	model *policy.Token
}

// claims are those of the token, before it is signed.
func (c *credentials) claims(t *Token, issuer *policy.Issuer) (map[string]any, error) {
	now := c.edge.Now()
	audience := t.Audience
	if audience == nil && len(issuer.Audiences) > 0 {
		audience = issuer.Audiences[:1]
	}
	claims := map[string]any{
		"iss": issuer.URL, "aud": audience, "sub": t.User, "client_id": t.Client, "jti": rand.Text(),
		"iat": min(now.Unix(), now.Add(t.Expires).Unix()), "exp": now.Add(t.Expires).Unix(),
	}
	if len(t.Scope) > 0 {
		claims["scope"] = strings.Join(t.Scope, " ")
	}
	if t.ACR != "" {
		claims["acr"] = t.ACR
	}
	if t.LoggedIn != nil {
		claims["auth_time"] = now.Add(-t.LoggedIn.Abs()).Unix()
	}
	if len(t.Details) > 0 {
		claims["authorization_details"] = t.Details
	}
	confirmation := make(map[string]any)
	if t.DPoP != "" {
		thumbprint, err := c.mint.Thumbprint(t.DPoP)
		if err != nil {
			return nil, err
		}
		confirmation["jkt"] = thumbprint
	}
	if t.Bound != "" {
		certificate, err := c.mint.Certificate(t.Bound)
		if err != nil {
			return nil, err
		}
		confirmation["x5t#S256"] = certificate.Thumbprint
	}
	if len(confirmation) > 0 {
		claims["cnf"] = confirmation
	}
	maps.Copy(claims, t.Claims)
	for _, name := range t.Without {
		delete(claims, name)
	}
	return claims, nil
}

// issuer gives whose token it is: a stranger's, where the configuration has no such one.
func (c *credentials) issuer(t *Token) (*policy.Issuer, error) {
	all := c.config.Tollgate.Issuers
	if t.Issuer == "" {
		if len(all) != 1 || all[0] == nil {
			return nil, fmt.Errorf("the configuration has %d issuers: the token has to say whose it is, by issuer", len(all))
		}
		return all[0], nil
	}
	for _, i := range all {
		if i != nil && i.URL == t.Issuer {
			return i, nil
		}
	}
	return &policy.Issuer{URL: t.Issuer}, nil
}

// mintToken makes the token, once.
func (c *credentials) mintToken(t *Token) (*minted, error) {
	if done := c.minted[t]; done != nil {
		return done, nil
	}
	done := &minted{sent: t.Raw}
	if t.Raw == "" {
		if err := c.fill(done, t); err != nil {
			return nil, err
		}
	}
	c.minted[t] = done
	return done, nil
}

func (c *credentials) fill(into *minted, t *Token) error {
	issuer, err := c.issuer(t)
	if err != nil {
		return err
	}
	claims, err := c.claims(t, issuer)
	if err != nil {
		return err
	}
	if t.Opaque {
		into.sent = rand.Text()
		known := claims
		if t.Inactive {
			known = nil
		}
		c.edge.Issuers().Know(into.sent, issuer.URL, known)
		into.model = policy.NewToken(asJSON(claims), "")
		return nil
	}
	algorithm := cmp.Or(t.Algorithm, issuer.Preferred())
	if algorithm == "" {
		return fmt.Errorf("issuer %s signs no tokens: say opaque: true, or an algorithm all the same", issuer.URL)
	}
	into.sent, err = c.mint.Sign(cmp.Or(t.SignedBy, issuer.URL), algorithm, t.Header, claims)
	if t.SignedBy == "" {
		into.model = policy.NewToken(asJSON(claims), algorithm)
	}
	return err
}

// asJSON gives the claims as whoever decodes JSON has them.
func asJSON(claims map[string]any) map[string]any {
	decoded := make(map[string]any, len(claims))
	for name, value := range claims {
		switch value := value.(type) {
		case int64:
			decoded[name] = float64(value)
		case int:
			decoded[name] = float64(value)
		case []string:
			list := make([]any, len(value))
			for n, element := range value {
				list[n] = element
			}
			decoded[name] = list
		default:
			decoded[name] = value
		}
	}
	return decoded
}

// authorize adds what the request says of itself.
func (c *credentials) authorize(r *Request, call *Call) (*minted, error) {
	if r.Token == nil {
		return nil, nil
	}
	t, err := c.mintToken(r.Token)
	if err != nil {
		return nil, err
	}
	scheme := r.Scheme
	if scheme == "" {
		scheme = string(policy.Bearer)
		if r.Token.DPoP != "" {
			scheme = string(policy.DPoP)
		}
	}
	if call.Header.Get("Authorization") != "" {
		return nil, errors.New("there is a token and an Authorization header")
	}
	call.Header.Set("Authorization", scheme+" "+t.sent)
	if scheme != string(policy.DPoP) || r.Proof.None {
		return t, nil
	}
	if !r.Proof.Again || c.proof == "" {
		if r.Proof.Again {
			return nil, errors.New("proof: again, and no proof was sent before")
		}
		if c.proof, err = c.prove(r, t); err != nil {
			return nil, err
		}
	}
	call.Header[textproto.CanonicalMIMEHeaderKey("DPoP")] = []string{c.proof}
	return t, nil
}

// prove makes the proof that a client of good will would send, but for what the case has
// wrong about it. It names the URL that is called.
func (c *credentials) prove(r *Request, t *minted) (string, error) {
	p := r.Proof
	called, _, _ := strings.Cut(r.URL, "?")
	nonce := c.nonce
	if p.Nonce != nil {
		nonce = *p.Nonce
	}
	token := t.sent
	if p.Token != "" {
		token = p.Token
	}
	return c.mint.Prove(cmp.Or(p.Key, r.Token.DPoP, "key-1"), mint.Proof{
		Method: cmp.Or(p.Method, r.Method), URL: cmp.Or(p.URL, called), Token: token, Nonce: nonce, At: c.edge.Now().Add(-p.Age),
	})
}

// learn keeps the nonce of an answer, as clients do.
func (c *credentials) learn(answer http.Header) {
	if nonce := answer.Get("DPoP-Nonce"); nonce != "" {
		c.nonce = nonce
	}
}

// modelRequest is the request as the model knows it.
func modelRequest(r *Request, call *Call, t *minted) policy.Request {
	m := policy.Request{
		Method: call.Method, Host: hostname(call.Host), Target: call.Target, TLS: call.Secure, Header: call.Header.Clone(),
		Remote: call.Address, SentAs: policy.Bearer, HasCert: call.Certificate != nil,
	}
	m.Header.Del("Authorization")
	if t == nil {
		return m
	}
	m.Token = t.model
	if strings.HasPrefix(call.Header.Get("Authorization"), string(policy.DPoP)+" ") {
		m.SentAs = policy.DPoP
	}
	return m
}

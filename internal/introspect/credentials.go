package introspect

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/open-tollgate/tollgate/internal/jose"
)

// assertionLifetime is short: an assertion is made for each question.
const assertionLifetime = time.Minute

// Credentials are how we authenticate at an issuer: Secret or PrivateKey make them.
type Credentials interface {
	authenticate(h http.Header, form url.Values, now time.Time) error
	clientID() string
}

// secret is client_secret_basic (RFC 6749 section 2.3.1).
type secret struct{ id, secret string }

// Secret makes credentials of a client id and a secret.
func Secret(clientID, clientSecret string) (Credentials, error) {
	if clientID == "" || clientSecret == "" {
		return nil, errors.New("credentials: a client id and a secret are needed")
	}
	return secret{clientID, clientSecret}, nil
}

func (s secret) authenticate(h http.Header, _ url.Values, _ time.Time) error {
	r := http.Request{Header: h}
	r.SetBasicAuth(url.QueryEscape(s.id), url.QueryEscape(s.secret))
	return nil
}

func (s secret) clientID() string { return s.id }

// privateKey is private_key_jwt (RFC 7523 section 2.2).
type privateKey struct {
	id, audience string
	algorithm    jwa.SignatureAlgorithm
	key          jwk.Key
}

// PrivateKey makes credentials of a client id and a private JSON Web Key with an
// "alg". audience is how the issuer wants to be named: by its identifier, if it
// follows FAPI 2.0.
func PrivateKey(clientID, audience string, document []byte) (Credentials, error) {
	if clientID == "" || audience == "" {
		return nil, errors.New("credentials: a client id and an audience are needed")
	}
	key, err := jwk.ParseKey(document)
	if err != nil {
		return nil, errors.New("credentials: not a JSON Web Key") // the library may quote it
	}
	if private, err := jwk.IsPrivateKey(key); err != nil || !private {
		return nil, errors.New("credentials: not a private key")
	}
	named, _ := key.Algorithm()
	if named == nil || !jose.Algorithm(named.String()).Supported() {
		return nil, errors.New("credentials: the key does not name an algorithm that is supported")
	}
	algorithm, ok := jwa.LookupSignatureAlgorithm(named.String())
	if !ok {
		return nil, errors.New("credentials: unknown algorithm")
	}
	p := privateKey{id: clientID, audience: audience, algorithm: algorithm, key: key}
	if _, err := p.assertion(time.Now()); err != nil {
		return nil, err // a key that does not fit its algorithm
	}
	return p, nil
}

func (p privateKey) authenticate(_ http.Header, form url.Values, now time.Time) error {
	assertion, err := p.assertion(now)
	if err != nil {
		return err
	}
	form.Set("client_id", p.id)
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", assertion)
	return nil
}

func (p privateKey) assertion(now time.Time) (string, error) {
	claims, err := json.Marshal(map[string]any{
		"iss": p.id, "sub": p.id, "aud": p.audience, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(assertionLifetime).Unix(),
	})
	if err != nil {
		return "", err
	}
	signed, err := jws.Sign(claims, jws.WithKey(p.algorithm, p.key))
	if err != nil {
		return "", fmt.Errorf("sign a client assertion: %w", err)
	}
	return string(signed), nil
}

func (p privateKey) clientID() string { return p.id }

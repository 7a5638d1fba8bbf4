package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// issuer signs the tokens of the load and publishes its key.
type issuer struct {
	url   string
	key   *ecdsa.PrivateKey
	close func()
}

func newIssuer() (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	public, err := key.PublicKey.Bytes() // 4, X, Y (SEC 1 section 2.3.3)
	if err != nil {
		return nil, err
	}
	set, err := json.Marshal(map[string]any{"keys": []any{map[string]string{
		"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "bench",
		"x": encode(public[1:33]), "y": encode(public[33:]),
	}}})
	if err != nil {
		return nil, err
	}
	addr, stop, err := serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write(set) // the edge is gone: nobody to tell
	}))
	if err != nil {
		return nil, err
	}
	return &issuer{url: "http://" + addr, key: key, close: stop}, nil
}

// requests gives ready-made requests, each with the token of another user.
func (i *issuer) requests(n int) ([][]byte, error) {
	var all [][]byte
	for user := range n {
		token, err := i.sign(user)
		if err != nil {
			return nil, err
		}
		all = append(all, fmt.Appendf(nil, "GET /items/1 HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nAuthorization: Bearer %s\r\n\r\n", token))
	}
	return all, nil
}

func (i *issuer) sign(user int) (string, error) {
	header, err := json.Marshal(map[string]string{"typ": "at+jwt", "alg": "ES256", "kid": "bench"})
	if err != nil {
		return "", err
	}
	now := time.Now().Unix()
	claims, err := json.Marshal(map[string]any{
		"iss": i.url, "aud": []string{"https://bench.example/api"}, "exp": now + 3600, "iat": now,
		"sub": fmt.Sprintf("user-%d", user), "client_id": fmt.Sprintf("client-%d", user%10),
		"jti": rand.Text(), "scope": "items:read profile:read",
	})
	if err != nil {
		return "", err
	}
	signed := encode(header) + "." + encode(claims)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, digest[:])
	if err != nil {
		return "", err
	}
	var signature [64]byte // R and S at a fixed length (RFC 7518 section 3.4)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + encode(signature[:]), nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

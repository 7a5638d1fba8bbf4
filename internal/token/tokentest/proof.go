package tokentest

import (
	"crypto/rand"
	"crypto/sha256"
	"time"
)

// Proof makes a valid DPoP proof by this key for one request with the access
// token, altered by the options.
func (k *Key) Proof(now time.Time, method, url, accessToken string, options ...Option) string {
	ath := sha256.Sum256([]byte(accessToken))
	d := draft{
		key:    k,
		header: map[string]any{"typ": "dpop+jwt", "alg": k.Algorithm, "jwk": k.public()},
		claims: map[string]any{
			"htm": method,
			"htu": url,
			"iat": now.Unix(),
			"jti": rand.Text(),
			"ath": b64(ath[:]),
		},
	}
	return d.finish(k.t, options)
}

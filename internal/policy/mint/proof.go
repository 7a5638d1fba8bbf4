package mint

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"time"
)

// caller sets the keys of callers apart from those of issuers.
const caller = "caller "

// Thumbprint is the jkt of a caller's DPoP key (RFC 9449 section 6.1).
func (m *Mint) Thumbprint(keyName string) (string, error) {
	k, err := m.key(caller+keyName, "ES256")
	if err != nil {
		return "", err
	}
	sum, err := k.public.Thumbprint(crypto.SHA256)
	return encode(sum), err
}

// Proof is what a DPoP proof says (RFC 9449 section 4.2).
type Proof struct {
	Method, URL, Token, Nonce string
	At                        time.Time
}

// Prove makes the proof by a caller's key.
func (m *Mint) Prove(keyName string, p Proof) (string, error) {
	k, err := m.key(caller+keyName, "ES256")
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(p.Token))
	claims := map[string]any{"htm": p.Method, "htu": p.URL, "iat": p.At.Unix(), "jti": rand.Text(), "ath": encode(sum[:])}
	if p.Nonce != "" {
		claims["nonce"] = p.Nonce
	}
	return k.sign(map[string]any{"typ": "dpop+jwt", "jwk": k.public}, claims)
}

// Certificate is a caller's.
type Certificate struct {
	*x509.Certificate
	// Thumbprint is its x5t#S256 (RFC 8705 section 3.1).
	Thumbprint string
}

// Certificate gives the certificate of this name, which signs itself.
func (m *Mint) Certificate(name string) (*Certificate, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.certificates[name]; c != nil {
		return c, nil
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(m.certificates) + 1)), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	c := &Certificate{parsed, encode(sum[:])}
	m.certificates[name] = c
	return c, nil
}

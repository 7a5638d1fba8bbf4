package assertion

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/open-tollgate/tollgate/internal/jose"
	"github.com/open-tollgate/tollgate/internal/keyfile"
)

// Key is a private key that assertions are signed with.
type Key struct {
	algorithm jwa.SignatureAlgorithm
	private   jwk.Key
	public    json.RawMessage
	id        string
}

// ID is the key's thumbprint (RFC 7638), which is its "kid" as well: the same key has the
// same name on every node.
func (k *Key) ID() string { return k.id }

// Generate makes a key for ES256.
func Generate() (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := jwk.Import(private)
	if err != nil {
		return nil, err
	}
	return newKey(key)
}

// LoadKey reads a key from a file that nobody else can read.
func LoadKey(path string) (*Key, error) {
	document, err := keyfile.Read(path)
	if err != nil {
		return nil, err
	}
	return ParseKey(document)
}

// ParseKey reads a private key for ES256 or EdDSA: one PEM block, as "openssl genpkey"
// writes it, or a JSON Web Key. No error repeats what is in it.
func ParseKey(document []byte) (*Key, error) {
	document = bytes.TrimSpace(document)
	key, err := jwk.ParseKey(document, jwk.WithPEM(!bytes.HasPrefix(document, []byte("{"))))
	if err != nil {
		return nil, errors.New("neither a private key in PEM nor a JSON Web Key")
	}
	return newKey(key)
}

var errKind = errors.New("not a private key on P-256 or Ed25519")

func newKey(key jwk.Key) (*Key, error) {
	if private, err := jwk.IsPrivateKey(key); err != nil || !private {
		return nil, errKind
	}
	public, err := key.PublicKey()
	if err != nil {
		return nil, errKind
	}
	checked, err := usable(public)
	if err != nil {
		return nil, errKind
	}
	print, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, err
	}
	k := &Key{id: encode(print)}
	algorithm, known := jwa.LookupSignatureAlgorithm(string(checked.Algorithm))
	if !known {
		return nil, errKind
	}
	k.algorithm = algorithm
	if k.private, err = bare(key); err != nil {
		return nil, errKind
	}
	if k.public, err = k.publish(public); err != nil {
		return nil, err
	}
	return k, k.try(public)
}

// try refuses a JSON Web Key whose halves do not belong together: nobody could verify
// what it signs. The library of today refuses it earlier; that is not promised.
func (k *Key) try(public jwk.Key) error {
	signed, err := k.sign([]byte("{}"))
	if err != nil {
		return err
	}
	if _, err := jws.Verify([]byte(signed), jws.WithKey(k.algorithm, public)); err != nil {
		return errors.New("its public half is another key's")
	}
	return nil
}

// usable holds the public half to what verifiers take.
func usable(public jwk.Key) (*jose.Key, error) {
	document, err := json.Marshal(public)
	if err != nil {
		return nil, err
	}
	members, err := jose.ParseObject(document)
	if err != nil {
		return nil, err
	}
	key, err := jose.ParseKey(members)
	if err != nil {
		return nil, err
	}
	if key.Algorithm != jose.ES256 && key.Algorithm != jose.EdDSA {
		return nil, errKind
	}
	return key, nil
}

// bare drops what a JSON Web Key says about itself: its name is the thumbprint.
func bare(key jwk.Key) (jwk.Key, error) {
	var raw any
	if err := jwk.Export(key, &raw); err != nil {
		return nil, err
	}
	return jwk.Import(raw)
}

// publish gives the public half as it is in a key set.
func (k *Key) publish(public jwk.Key) (json.RawMessage, error) {
	var raw any
	if err := jwk.Export(public, &raw); err != nil {
		return nil, err
	}
	published, err := jwk.Import(raw)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]any{jwk.KeyIDKey: k.id, jwk.AlgorithmKey: k.algorithm, jwk.KeyUsageKey: "sig"} {
		if err := published.Set(name, value); err != nil {
			return nil, err
		}
	}
	return json.Marshal(published)
}

// sign makes the compact form of an access token (RFC 9068 section 2.1) of these claims.
func (k *Key) sign(claims []byte) (string, error) {
	header := jws.NewHeaders()
	if err := errors.Join(header.Set(jws.TypeKey, "at+jwt"), header.Set(jws.KeyIDKey, k.id)); err != nil {
		return "", err
	}
	signed, err := jws.Sign(claims, jws.WithKey(k.algorithm, k.private, jws.WithProtectedHeaders(header)))
	if err != nil {
		return "", errors.New("the key cannot sign")
	}
	return string(signed), nil
}

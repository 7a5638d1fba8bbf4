// Package vault keeps what the database must not hold in clear: it seals values
// with keys derived from one master key, and hashes bearer values for lookup.
package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/open-tollgate/tollgate/internal/keyfile"
)

// KeySize is the size of the master key in bytes.
const KeySize = 32

// Purpose keeps one use of the master key apart from the others: a value that
// was sealed or hashed for one purpose means nothing for another.
type Purpose string

// What the authorization server keeps.
const (
	SigningKey    Purpose = "signing-key"
	RefreshToken  Purpose = "refresh-token"
	AuthCode      Purpose = "authorization-code"
	RequestURI    Purpose = "request-uri"
	ClientSecret  Purpose = "client-secret"
	LoginSession  Purpose = "login-session"
	BrowserCookie Purpose = "browser-cookie"
	CSRFToken     Purpose = "csrf-token"
)

// Vault seals and hashes. It is safe for concurrent use.
type Vault struct{ master []byte }

// New makes a vault of a master key.
func New(master []byte) (*Vault, error) {
	if len(master) != KeySize {
		return nil, fmt.Errorf("the master key has %d bytes, not %d", len(master), KeySize)
	}
	return &Vault{master: append([]byte(nil), master...)}, nil
}

// LoadOrMake is Load, but makes the file with a new key (mode 0600) when it is missing.
func LoadOrMake(path string) (*Vault, error) {
	if path != "" {
		if err := create(path); err != nil {
			return nil, err
		}
	}
	return Load(path)
}

// Load reads the master key from a file.
func Load(path string) (*Vault, error) {
	if path == "" {
		return nil, errors.New("no file for the master key given (--secret-file)")
	}
	key, err := keyfile.Read(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	v, err := New(key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

// create makes the file if it is missing. Commands that start together agree on
// one key: the file appears with its whole content, by a link that only the
// first of them can make.
func create(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".secret-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	key := make([]byte, KeySize)
	_, _ = rand.Read(key) // never fails (crypto/rand)
	_, err = tmp.Write(key)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Random gives a bearer value of 256 bits that is safe in URLs, cookies and headers.
func Random() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// Hash gives the value under which a bearer value is looked up. It is keyed, so
// that a stolen database does not let anybody test guesses.
func (v *Vault) Hash(p Purpose, parts ...string) []byte {
	mac := hmac.New(sha256.New, v.key("hash", p))
	for _, part := range parts {
		// The length in front keeps ("ab","c") and ("a","bc") apart.
		fmt.Fprintf(mac, "%d:%s", len(part), part)
	}
	return mac.Sum(nil)
}

// Seal encrypts with AES-256-GCM. context binds the result to its row: it opens
// only with the same context.
func (v *Vault) Seal(p Purpose, context string, plain []byte) []byte {
	aead := v.aead(p)
	return aead.Seal(nil, nil, plain, []byte(context))
}

// Open decrypts what Seal made.
func (v *Vault) Open(p Purpose, context string, sealed []byte) ([]byte, error) {
	plain, err := v.aead(p).Open(nil, nil, sealed, []byte(context))
	if err != nil {
		return nil, fmt.Errorf("a sealed %s does not open: another master key, or it was altered", p)
	}
	return plain, nil
}

func (v *Vault) aead(p Purpose) cipher.AEAD {
	block, err := aes.NewCipher(v.key("seal", p))
	if err != nil {
		panic(err) // the key's size is fixed here
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // the block's size is fixed here
	}
	return aead
}

func (v *Vault) key(use string, p Purpose) []byte {
	key, err := hkdf.Key(sha256.New, v.master, nil, "tollgate auth "+use+" "+string(p), KeySize)
	if err != nil {
		panic(err) // the length is fixed here
	}
	return key
}

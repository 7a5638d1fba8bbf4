package auditlog

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/open-tollgate/tollgate/internal/keyfile"
)

// The files of a log beside its segments.
const (
	signingKeyFile = "signing.key" // secret: signs checkpoints
	publicKeyFile  = "public.key"  // what an auditor needs
	pseudonymFile  = "pseudonym.key"
)

// keys are what a log is written with.
type keys struct {
	signer     note.Signer
	public     string // as public.key has it
	verifier   note.Verifier
	pseudonyms pseudonyms
}

// loadKeys reads the keys, or makes them where there is no log yet.
func loadKeys(c Config, isNew bool) (keys, error) {
	var k keys
	signing, err := loadOrMake(c.SigningKey, func() (string, error) {
		if !isNew {
			return "", fmt.Errorf("%s is missing, and a log goes on with the key that it began with: put it back, or begin a new folder", c.SigningKey)
		}
		secret, _, err := note.GenerateKey(rand.Reader, c.Origin)
		return secret, err
	})
	if err != nil {
		return k, fmt.Errorf("signing key: %w", err)
	}
	if k.signer, err = note.NewSigner(signing); err != nil {
		return k, fmt.Errorf("signing key %s: not a key", c.SigningKey) // the library may quote it
	}
	if k.signer.Name() != c.Origin {
		return k, fmt.Errorf("signing key %s is of log %q, and this log is %q", c.SigningKey, k.signer.Name(), c.Origin)
	}
	if k.public, err = publicKey(signing); err != nil {
		return k, fmt.Errorf("signing key %s: %w", c.SigningKey, err)
	}
	if k.verifier, err = note.NewVerifier(k.public); err != nil {
		return k, err
	}
	secret, err := loadOrMake(filepath.Join(c.Dir, pseudonymFile), func() (string, error) { return rand.Text() + rand.Text(), nil })
	if err != nil {
		return k, fmt.Errorf("pseudonym key: %w", err)
	}
	k.pseudonyms = newPseudonyms(secret)
	return k, nil
}

// publicKey gives what verifies the signatures of a signing key: PRIVATE+KEY+name+hash+base64,
// where the octets are a byte for Ed25519 and the seed.
func publicKey(signing string) (string, error) {
	fields := strings.Split(signing, "+")
	octets, err := base64.StdEncoding.DecodeString(strings.Join(fields[min(4, len(fields)):], "+"))
	if err != nil || len(octets) != 1+ed25519.SeedSize {
		return "", errors.New("not an Ed25519 key")
	}
	public := ed25519.NewKeyFromSeed(octets[1:]).Public().(ed25519.PublicKey)
	return note.NewEd25519VerifierKey(fields[2], public)
}

// publish writes the public key beside the log, so that a copy of the folder can be verified.
func (k *keys) publish(dir string) error {
	return replaceFile(filepath.Join(dir, publicKeyFile), []byte(k.public+"\n"), 0o644)
}

// isOfLog says what is wrong where the log says that its key is another one.
func (k *keys) isOfLog(c Config) error {
	content, err := ReadSmall(filepath.Join(c.Dir, publicKeyFile), maxSmall)
	if err != nil || strings.TrimSpace(string(content)) == k.public {
		return nil // without one, its checkpoints tell
	}
	return fmt.Errorf("signing key %s is another than that of %s, and a log goes on with the key that it began with: put it back, or begin a new folder", c.SigningKey, publicKeyFile)
}

func loadOrMake(path string, generate func() (string, error)) (string, error) {
	content, err := keyfile.Read(path)
	if err == nil {
		if text := strings.TrimSpace(string(content)); text != "" {
			return text, nil
		}
		return "", fmt.Errorf("%s is empty", path)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	text, err := generate()
	if err != nil {
		return "", err
	}
	return text, replaceFile(path, []byte(text+"\n"), 0o600)
}

// nameOf gives the name of the log whose key is there, and that of this machine where
// there is none yet.
func nameOf(signingKey string) (string, error) {
	content, err := keyfile.Read(signingKey)
	if errors.Is(err, fs.ErrNotExist) {
		return os.Hostname()
	}
	if err != nil {
		return "", fmt.Errorf("signing key %s: %w", signingKey, err)
	}
	signer, err := note.NewSigner(strings.TrimSpace(string(content)))
	if err != nil {
		return "", fmt.Errorf("signing key %s: not a key", signingKey)
	}
	return signer.Name(), nil
}

// ReadPublicKey reads the file that an auditor was given.
func ReadPublicKey(path string) (note.Verifier, error) {
	content, err := ReadSmall(path, maxSmall)
	if err != nil {
		return nil, err
	}
	v, err := note.NewVerifier(strings.TrimSpace(string(content)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

// pseudonyms stand for who is meant without saying who it is. Whoever has the key
// can find the records of a name that they know; nobody finds a name in a record.
// One goroutine uses it.
type pseudonyms struct {
	mac    hash.Hash
	recent map[named]string // the same few callers come again and again
}

// named is what a pseudonym is for.
type named struct{ kind, value string }

// maxRecent bounds the memory of pseudonyms, which starts again when it is full.
const maxRecent = 1 << 13

func newPseudonyms(key string) pseudonyms {
	return pseudonyms{hmac.New(sha256.New, []byte(key)), make(map[named]string)}
}

// of gives the pseudonym of a value. Values of different kinds have different ones.
func (p pseudonyms) of(kind, value string) string {
	if value == "" {
		return ""
	}
	who := named{kind, value}
	if known, ok := p.recent[who]; ok {
		return known
	}
	p.mac.Reset()
	_, _ = io.WriteString(p.mac, kind+"\x00"+value)
	var sum [sha256.Size]byte
	pseudonym := base64.RawURLEncoding.EncodeToString(p.mac.Sum(sum[:0])[:16]) // 128 bits: no two of them meet
	if len(p.recent) == maxRecent {
		clear(p.recent)
	}
	p.recent[who] = pseudonym
	return pseudonym
}

// The kinds of values that have pseudonyms.
const (
	ClientPseudonym  = "client"
	SubjectPseudonym = "subject"
	TokenPseudonym   = "token"
	AddressPseudonym = "address"
)

// Pseudonym gives what stands for a value in the log of this folder.
func Pseudonym(dir, kind, value string) (string, error) {
	secret, err := ReadSmall(filepath.Join(dir, pseudonymFile), maxSmall)
	if err != nil {
		return "", err
	}
	return newPseudonyms(strings.TrimSpace(string(secret))).of(kind, value), nil
}

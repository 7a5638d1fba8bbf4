// Package vault seals what a database must not hold in clear, with a master key
// that lives in a file of its own.
package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/open-tollgate/tollgate/internal/keyfile"
)

const keySize = 32

// Vault seals and opens values of one purpose. It is safe for concurrent use.
type Vault struct{ aead cipher.AEAD }

// Load reads the master key from the file, which is made when it is missing, and
// derives the key for the purpose: what is sealed for one does not open for another.
func Load(path, purpose string) (*Vault, error) {
	if err := create(path, syncFolder); err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	masters, err := readMasters(path)
	if err != nil {
		return nil, err
	}
	if len(masters) != 1 {
		return nil, fmt.Errorf("vault: %s holds %d keys; the values of this service have one", path, len(masters))
	}
	return open(masters[0], purpose)
}

// readMasters reads the master keys of a file.
func readMasters(path string) ([][]byte, error) {
	content, err := keyfile.Read(path)
	if err != nil {
		return nil, fmt.Errorf("vault: %s: %w", path, err)
	}
	if len(content) == 0 || len(content)%keySize != 0 || len(content) > maxKeys*keySize {
		return nil, fmt.Errorf("vault: %s has %d bytes, a master key has %d", path, len(content), keySize)
	}
	return slices.Collect(slices.Chunk(content, keySize)), nil
}

func open(master []byte, purpose string) (*Vault, error) {
	key, err := hkdf.Key(sha256.New, master, nil, "tollgate "+purpose, keySize)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	return aeadOf(key)
}

func aeadOf(key []byte) (*Vault, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	return &Vault{aead: aead}, nil
}

// create writes a new key when there is none. The file is linked into place
// complete, so that of several processes that start together one wins and none
// reads half a key.
func create(path string, sync func(folder string) error) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(draft.Name()) }() // by then it has its real name, or is of no use
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // crypto/rand never fails
	_, err = draft.Write(key)
	if err := errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return err
	}
	if err := os.Link(draft.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return sync(filepath.Dir(path)) // of a key that another process has just linked, too
}

// Seal encrypts. row names where the result belongs: it opens only there, so
// that nobody can move it to a row of their own.
func (v *Vault) Seal(row string, plain []byte) []byte {
	return v.aead.Seal(nil, nil, plain, []byte(row))
}

// Open decrypts what Seal made for the same row.
func (v *Vault) Open(row string, sealed []byte) ([]byte, error) {
	plain, err := v.aead.Open(nil, nil, sealed, []byte(row))
	if err != nil {
		return nil, errors.New("vault: the value does not open: sealed with another master key, or altered")
	}
	return plain, nil
}

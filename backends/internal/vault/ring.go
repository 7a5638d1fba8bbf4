package vault

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

const (
	idSize  = 4
	maxKeys = 16
)

// NewKey makes a key for FromKey.
func NewKey() []byte {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // crypto/rand never fails
	return key
}

// FromKey makes a vault of a key that somebody else keeps.
func FromKey(key []byte) (*Vault, error) {
	if len(key) != keySize {
		return nil, errors.New("vault: a key has 32 bytes")
	}
	return aeadOf(key)
}

// Ring is the master keys of a file: the newest seals, all of them open. A value
// says which key sealed it, so that keys can be changed while services run. It is
// safe for concurrent use.
type Ring struct {
	path, purpose string
	mu            sync.Mutex
	keys          []ringKey   // the newest first
	read          os.FileInfo // of the file that they are from
	fault         string      // of the last look at the file
	tell          func(error) // see OnFault; nil tells nobody
}

type ringKey struct {
	id    [idSize]byte
	vault *Vault
}

// LoadRing reads the keys for a purpose from the file, which is made with one key
// when it is missing.
func LoadRing(path, purpose string) (*Ring, error) {
	if err := create(path, syncFolder); err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	r := &Ring{path: path, purpose: purpose}
	return r, r.reload()
}

func (r *Ring) reload() error {
	info, err := os.Stat(r.path) // before it is read: one that is newer is read again
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	masters, err := readMasters(r.path)
	if err != nil {
		return err
	}
	var keys []ringKey
	for _, master := range masters {
		v, err := open(master, r.purpose)
		if err != nil {
			return err
		}
		keys = append(keys, ringKey{id: idOf(master), vault: v})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys, r.read = keys, info
	return nil
}

// OnFault sets what is called when the file cannot be read again, once for each reason, and
// with nil when it can. It must not wait.
func (r *Ring) OnFault(tell func(error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tell = tell
}

// note tells of a look at the file that ended otherwise than the one before.
func (r *Ring) note(err error) {
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	r.mu.Lock()
	changed, tell := fault != r.fault, r.tell
	r.fault = fault
	r.mu.Unlock()
	if changed && tell != nil {
		tell(err)
	}
}

// refresh reads the file again if it is another one by now. Who adds a key puts a new
// file into its place.
func (r *Ring) refresh() error {
	info, err := os.Stat(r.path)
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	r.mu.Lock()
	same := os.SameFile(info, r.read) && info.ModTime().Equal(r.read.ModTime())
	r.mu.Unlock()
	if same {
		return nil
	}
	return r.reload()
}

// idOf names a master key without telling anything of it.
func idOf(master []byte) (id [idSize]byte) {
	derived, err := hkdf.Key(sha256.New, master, nil, "tollgate key id", idSize)
	if err != nil {
		panic(err) // the sizes are constants
	}
	return [idSize]byte(derived)
}

// Seal encrypts with the newest key of the file, as Vault.Seal does. A key that was
// added counts at once: what were sealed with an older one after everything has been
// sealed anew would be lost when the old ones are forgotten. While the file cannot be
// read, the keys that are known go on.
func (r *Ring) Seal(row string, plain []byte) []byte {
	r.note(r.refresh())
	r.mu.Lock()
	newest := r.keys[0]
	r.mu.Unlock()
	return append(newest.id[:], newest.vault.Seal(row, plain)...)
}

// Open decrypts what Seal made for the same row. A key that is not known may have
// been added meanwhile: then the file is read again.
func (r *Ring) Open(row string, sealed []byte) ([]byte, error) {
	if len(sealed) < idSize {
		return nil, errors.New("vault: this is no sealed value")
	}
	v := r.find(sealed)
	if v == nil {
		err := r.reload()
		r.note(err)
		if err != nil {
			return nil, err
		}
		if v = r.find(sealed); v == nil {
			return nil, fmt.Errorf("vault: the key that sealed the value is not in %s", r.path)
		}
	}
	return v.Open(row, sealed[idSize:])
}

func (r *Ring) find(sealed []byte) *Vault {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range r.keys {
		if bytes.Equal(key.id[:], sealed[:idSize]) {
			return key.vault
		}
	}
	return nil
}

// Newest tells whether the newest key sealed the value.
func (r *Ring) Newest(sealed []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(sealed) >= idSize && bytes.Equal(r.keys[0].id[:], sealed[:idSize])
}

// AddKey puts a new master key in front of those of the file.
func AddKey(path string) error {
	masters, err := readMasters(path)
	if err != nil {
		return err
	}
	if len(masters) == maxKeys {
		return fmt.Errorf("vault: %s holds %d keys: forget the old ones first", path, maxKeys)
	}
	return writeMasters(path, append([][]byte{NewKey()}, masters...), syncFolder)
}

// ForgetOld leaves only the newest key in the file. What an older one sealed never
// opens again.
func ForgetOld(path string) error {
	masters, err := readMasters(path)
	if err != nil {
		return err
	}
	return writeMasters(path, masters[:1], syncFolder)
}

// writeMasters puts a file in the place of another, with its owner, group and permissions:
// a service that may read the one, by its group too, reads the other. Its name is on the
// disk as well when it returns: what is sealed with a key from then on must not outlive it.
func writeMasters(path string, masters [][]byte, sync func(folder string) error) error {
	before, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	draft, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	defer func() { _ = os.Remove(draft.Name()) }() // by then it has its real name, or is of no use
	_, err = draft.Write(bytes.Join(masters, nil))
	if err := errors.Join(err, ownAs(draft, before), draft.Chmod(before.Mode().Perm()), draft.Sync(), draft.Close()); err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	if err := os.Rename(draft.Name(), path); err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	if err := sync(filepath.Dir(path)); err != nil {
		return fmt.Errorf("vault: the key file is in its place, and may not be there after a loss of power: %w", err)
	}
	return nil
}

// syncFolder has the names in a folder on the disk.
func syncFolder(path string) error {
	folder, err := os.Open(path) // #nosec G304 -- the operator names it
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// ownAs gives a file the owner and group of another. Who may not do that could lock the
// service out, or let others in.
func ownAs(file *os.File, other os.FileInfo) error {
	stat, ok := other.Sys().(*syscall.Stat_t)
	if !ok {
		return nil // a system without owners
	}
	return file.Chown(int(stat.Uid), int(stat.Gid))
}

package users

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/open-tollgate/tollgate/backends/internal/rest"
)

// cost is what one hash takes.
type cost struct {
	memory  uint32 // KiB
	passes  uint32
	threads uint8
}

// fullCost is one of the settings that OWASP's password storage page gives for
// argon2id: 46 MiB and one pass, about 40 ms of one core.
var fullCost = cost{memory: 46 << 10, passes: 1, threads: 1}

// currentCost is that of new hashes: fullCost, but in tests.
var currentCost = fullCost

const (
	saltBytes = 16
	keyBytes  = 32
	// hashWait is how long a request waits for its turn to hash.
	hashWait = 5 * time.Second
)

// hasher hashes passwords, a few at a time: each takes memory and a core, and a
// flood of sign-ins must not take them all.
type hasher struct {
	slots chan struct{}
	// decoy is a hash that no password matches. It is checked where there is no
	// user, so that the time does not tell.
	decoy func() string
}

func newHasher() *hasher {
	h := &hasher{slots: make(chan struct{}, runtime.GOMAXPROCS(0))}
	h.decoy = sync.OnceValue(func() string { return hashPassword(rand.Text()) })
	return h
}

// turn waits for a free slot and gives it; done frees it.
func (h *hasher) turn(ctx context.Context) (done func(), err error) {
	timer := time.NewTimer(hashWait)
	defer timer.Stop()
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, rest.Busy()
	}
}

// hash waits for its turn and makes the PHC string of a password.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	done, err := h.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	return hashPassword(password), nil
}

func hashPassword(password string) string {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails: it ends the program instead
	return encodeHash(currentCost, salt, deriveKey(password, salt, currentCost, keyBytes))
}

func deriveKey(password string, salt []byte, c cost, size uint32) []byte {
	return argon2.IDKey([]byte(password), salt, c.passes, c.memory, c.threads, size)
}

// verifyPassword compares in constant time. current says that the hash is of
// today's cost; another one is best replaced while the password is at hand.
func verifyPassword(phc, password string) (ok, current bool, err error) {
	c, salt, want, err := decodeHash(phc)
	if err != nil {
		return false, false, err
	}
	got := deriveKey(password, salt, c, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, c == currentCost && len(want) == keyBytes, nil
}

// The PHC string format: $argon2id$v=19$m=47104,t=1,p=1$salt$key.

func encodeHash(c cost, salt, key []byte) string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.memory, c.passes, c.threads, b64(salt), b64(key))
}

var errHashFormat = errors.New("a stored password hash is not a PHC string of argon2id")

func decodeHash(phc string) (c cost, salt, key []byte, err error) {
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return cost{}, nil, nil, errHashFormat
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.memory, &c.passes, &c.threads); err != nil {
		return cost{}, nil, nil, errHashFormat
	}
	salt, saltErr := base64.RawStdEncoding.DecodeString(parts[4])
	key, keyErr := base64.RawStdEncoding.DecodeString(parts[5])
	if saltErr != nil || keyErr != nil || len(key) < saltBytes || c.passes == 0 || c.threads == 0 {
		return cost{}, nil, nil, errHashFormat
	}
	return c, salt, key, nil
}

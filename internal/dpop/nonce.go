package dpop

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

const (
	defaultNoncePeriod = 5 * time.Minute
	minNoncePeriod     = 30 * time.Second
	maxNoncePeriod     = time.Hour
	// minNonceKey is the size of the hash: less would be the weaker part.
	minNonceKey = sha256.Size
	// nonceLead is how far ahead the clock of a node that gives nonces out may be.
	nonceLead = 10 * time.Second
)

// Nonces are what the server wants to find in proofs (RFC 9449 section 9), so that
// nobody can make proofs in advance. Each is a keyed hash of a stretch of time: there
// is nothing to remember, and nodes that share the key accept each other's.
type Nonces struct {
	key    []byte
	period time.Duration
	now    func() time.Time
	recent atomic.Pointer[recent]
}

// recent are the nonces of a stretch, of the one before and of the one after.
type recent struct {
	stretch                 int64
	current, previous, next string
}

// NewNonces makes nonces of a secret of 32 bytes or more. A new one is given out
// every period, five minutes when zero, and passes for two of them; now is the clock,
// time.Now when nil.
func NewNonces(key []byte, period time.Duration, now func() time.Time) (*Nonces, error) {
	if len(key) < minNonceKey {
		return nil, fmt.Errorf("dpop: the key of nonces has less than %d bytes", minNonceKey)
	}
	if period == 0 {
		period = defaultNoncePeriod
	}
	if period < minNoncePeriod || period > maxNoncePeriod {
		return nil, fmt.Errorf("dpop: the period of nonces is not within %v and %v", minNoncePeriod, maxNoncePeriod)
	}
	if now == nil {
		now = time.Now
	}
	return &Nonces{key: slices.Clone(key), period: period, now: now}, nil
}

// Current is the nonce to give out.
func (n *Nonces) Current() string { return n.load().current }

// load gives the nonces of now; they are computed once in a period.
func (n *Nonces) load() *recent {
	stretch := n.now().UnixNano() / int64(n.period)
	if r := n.recent.Load(); r != nil && r.stretch == stretch {
		return r
	}
	r := &recent{stretch: stretch, current: n.of(stretch), previous: n.of(stretch - 1), next: n.of(stretch + 1)}
	n.recent.Store(r)
	return r
}

// of gives the nonce of a stretch. The period is in it: to change it is to begin anew.
func (n *Nonces) of(stretch int64) string {
	h := hmac.New(sha256.New, n.key)
	message := binary.BigEndian.AppendUint64([]byte("tollgate dpop nonce"), uint64(n.period))
	h.Write(binary.BigEndian.AppendUint64(message, uint64(stretch)))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

var (
	errNoNonce  = errors.New("no nonce")
	errOldNonce = errors.New("not a nonce of ours, or an old one")
)

// check refuses a proof without a nonce that was given out lately, here or by a node
// whose clock is a little ahead. For one that is of
// the stretch before, and about to end, it gives the nonce that follows.
func (n *Nonces) check(nonce string) (renewal string, err error) {
	if nonce == "" {
		return "", refuse(NonceWanted, errNoNonce)
	}
	r := n.load()
	if subtle.ConstantTimeCompare([]byte(nonce), []byte(r.current)) == 1 {
		return "", nil
	}
	if subtle.ConstantTimeCompare([]byte(nonce), []byte(r.previous)) == 1 {
		return r.current, nil
	}
	if n.nextBegins() && subtle.ConstantTimeCompare([]byte(nonce), []byte(r.next)) == 1 {
		return "", nil
	}
	return "", refuse(NonceWanted, errOldNonce)
}

// nextBegins says whether a node whose clock is ahead may give out the next nonce already.
func (n *Nonces) nextBegins() bool {
	elapsed := time.Duration(n.now().UnixNano() % int64(n.period))
	return n.period-elapsed <= nonceLead
}

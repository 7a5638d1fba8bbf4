package limit

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrUnavailable says that the store could not decide in time. Whether the
	// request was counted is not known; it must not pass.
	ErrUnavailable = errors.New("the store of the limits is out of reach")
	// ErrFull says that a limit has no room for a new key: all of its keys still count.
	ErrFull = errors.New("no room for another key of this limit")
	// ErrCost says that a debit costs more than its limit can ever hold.
	ErrCost = errors.New("the cost is more than the limit holds")
)

// MaxDebits is how many limits one decision may have.
const MaxDebits = 16

// Debit asks for one unit of a limit for a subject.
type Debit struct {
	Limit *Limit
	Key   string // who is counted
	Cost  int64  // units: 1 when zero
}

func (d Debit) cost() int64 { return max(d.Cost, 1) }

// State is where a limit stands after a decision.
type State struct {
	// Short says that this limit had no room.
	Short bool
	// Remaining is how many units are left.
	Remaining int64
	// Wait is the time until the next unit comes back: in a limit that is short,
	// until the debit would fit.
	Wait time.Duration
	// Leased says that this node's memory decided, without a round trip.
	Leased bool
	// Degraded says that the limit was decided without its store.
	Degraded bool
	// Unheard says that this node knows nothing of what is left: another limit was short first.
	Unheard bool

	receipt receipt
}

// receipt says what a debit holds, so that it can be given back.
type receipt struct {
	bucket  int64 // of the store
	epoch   int64 // of the store
	sent    int64 // when the debit was sent for
	expires int64 // until when it may be spent
	how     debited
}

// debited is how a debit was made.
type debited uint8

const (
	debitedNot   debited = iota
	debitedStore         // by the store
	debitedOwn           // by this node alone, out of its share
	debitedOpen          // not at all, and let pass
)

// Decision is the answer to several debits together.
type Decision struct {
	// Allowed says that every limit had room and has been debited. Otherwise none was.
	Allowed bool
	// States has one entry for each debit, in their order.
	States []State
	// Degraded says that one of the limits was decided without its store.
	Degraded bool
}

// Wait gives the time after which a denied request would be allowed if nobody else
// asked meanwhile: the longest of the limits that were short.
func (d Decision) Wait() time.Duration {
	var longest time.Duration
	for _, s := range d.States {
		if s.Short {
			longest = max(longest, s.Wait)
		}
	}
	return longest
}

// Store decides. Its implementations are safe for concurrent use.
type Store interface {
	// Take debits every limit, or none when one of them is short. All limits have the
	// same scope. The states are appended to into, so that a caller may reuse its memory.
	Take(ctx context.Context, debits []Debit, into []State) (Decision, error)
}

// check refuses what cannot be decided as one. Twice the same key would be compared
// with the same room twice, and pass a limit by one.
func check(debits []Debit, rule func(*Limit) *rule) error {
	if len(debits) == 0 || len(debits) > MaxDebits {
		return fmt.Errorf("%d limits in one decision: want 1 to %d", len(debits), MaxDebits)
	}
	for i, a := range debits {
		if a.Cost < 0 || a.cost() > rule(a.Limit).events {
			return fmt.Errorf("%w: %d of %s", ErrCost, a.Cost, a.Limit.id)
		}
		for _, b := range debits[:i] {
			if a.Limit.scope != b.Limit.scope {
				return fmt.Errorf("limits of the scopes %q and %q in one decision", b.Limit.scope, a.Limit.scope)
			}
			if a.Key == b.Key && a.Limit.id == b.Limit.id {
				return fmt.Errorf("limit %q twice in one decision", a.Limit.id)
			}
		}
	}
	return nil
}

func (l *Limit) aloneRule() *rule  { return &l.alone }
func (l *Limit) sharedRule() *rule { return &l.shared }

// maxKey is how long a key may be before its digest stands for it. It is shorter
// than a digest's text, so that no key can pass for the digest of another.
const maxKey = 127

// boundKey keeps keys small, however long the caller made its header.
func boundKey(key string) string {
	if len(key) <= maxKey {
		return key
	}
	sum := sha512.Sum512([]byte(key))
	return hex.EncodeToString(sum[:])
}

package access

import (
	"errors"
	"hash/maphash"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-tollgate/tollgate/internal/dpop"
	"github.com/open-tollgate/tollgate/internal/problem"
)

const (
	defaultFailureBurst    = 200
	defaultFailureInterval = 50 * time.Millisecond
	defaultFailureSize     = 1 << 16
	failureShards          = 32
	// candidates is how many entries are looked at to find room for another.
	candidates = 8
)

// FailuresConfig is what Failures are made of. Its zero value is usable.
type FailuresConfig struct {
	// Burst is how many failures an address may have at once, and Interval how long it
	// takes until it may have another: 200 and 50 ms when zero, which bounds what one
	// address can burn to about a thousandth of a core.
	Burst    int
	Interval time.Duration
	// Size bounds the addresses that are remembered: 65536 when zero.
	Size int
	// Address gives the client's address. Nil: the connection's, which behind a load
	// balancer is everybody's.
	Address func(*http.Request) netip.Addr
	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

// Failures limits what forged credentials can cost: an address that has sent too many
// of them gets no cryptography done for some time. Tokens that are remembered need
// none and pass. Only failures count, never good requests.
type Failures struct {
	config FailuresConfig
	start  time.Time
	seed   maphash.Seed // secret, so that nobody can aim at one shard
	shards [failureShards]failureShard

	noted, limited atomic.Uint64
}

// suspect is who fails. A proof that fails counts for its token's key as well, so
// that one stolen token does not close the door to all keys behind the same address.
type suspect struct {
	network netip.Prefix
	jkt     string // empty for tokens
}

// failureShard maps suspects to the time, since the start, at which they have all of
// their burst again (the theoretical arrival time of the generic cell rate algorithm).
type failureShard struct {
	mu    sync.Mutex
	clear map[suspect]time.Duration
}

// NewFailures checks the configuration and makes Failures of it.
func NewFailures(c FailuresConfig) (*Failures, error) {
	if c.Burst < 0 || c.Interval < 0 || c.Size < 0 {
		return nil, errors.New("failures: a bound is negative")
	}
	if c.Burst == 0 {
		c.Burst = defaultFailureBurst
	}
	if c.Interval == 0 {
		c.Interval = defaultFailureInterval
	}
	if c.Size == 0 {
		c.Size = defaultFailureSize
	}
	if c.Address == nil {
		c.Address = remoteAddress
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	f := &Failures{config: c, start: c.Now(), seed: maphash.MakeSeed()}
	for i := range f.shards {
		f.shards[i].clear = make(map[suspect]time.Duration)
	}
	return f, nil
}

// remoteAddress is that of the connection; invalid when there is none, and then all
// such connections count as one.
func remoteAddress(r *http.Request) netip.Addr {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return remote.Addr()
}

// suspect names who sends the request: an IPv4 address, or the /64 that an IPv6 host
// can choose its addresses from.
func (f *Failures) suspect(r *http.Request, jkt string) suspect {
	address := f.config.Address(r).Unmap().WithZone("")
	bits := 64
	if address.Is4() {
		bits = 32
	}
	network, _ := address.Prefix(bits) // fails for the invalid address, which is one of its own
	return suspect{network, jkt}
}

func (f *Failures) shard(s suspect) *failureShard {
	return &f.shards[maphash.Comparable(f.seed, s)%failureShards]
}

// guard makes an attempt that takes cryptography, unless too many have failed. A
// refusal that is not about the credentials does not count, nor does one that asks
// for a nonce: that is how the conversation begins. Nil guards nothing.
func (f *Failures) guard(r *http.Request, jkt string, attempt func() *problem.Problem) *problem.Problem {
	if f == nil {
		return attempt()
	}
	who := f.suspect(r, jkt)
	if refusal := f.refusal(who); refusal != nil {
		return refusal
	}
	refusal := attempt()
	if refusal != nil && refusal.Status == http.StatusUnauthorized && refusal.Reason != string(dpop.NonceWanted) {
		f.note(who)
	}
	return refusal
}

// debt is how far the suspect is from having all of its burst, after one more failure.
func (f *Failures) debt(clear, now time.Duration) time.Duration {
	return max(clear-now, 0) + f.config.Interval
}

// refusal is nil as long as the suspect may fail once more.
func (f *Failures) refusal(s suspect) *problem.Problem {
	shard, now := f.shard(s), f.config.Now().Sub(f.start)
	shard.mu.Lock()
	over := f.debt(shard.clear[s], now) - f.allowance()
	shard.mu.Unlock()
	if over <= 0 {
		return nil
	}
	f.limited.Add(1)
	return problem.New(http.StatusTooManyRequests, TooManyFailures, "Too many credentials from this address were not valid.").
		WithRetryAfter(over)
}

func (f *Failures) allowance() time.Duration {
	return time.Duration(f.config.Burst) * f.config.Interval
}

// note counts a failure. Those that were under way together can go over the limit;
// they are not counted beyond it, so that it never takes longer to recover.
func (f *Failures) note(s suspect) {
	f.noted.Add(1)
	shard, now := f.shard(s), f.config.Now().Sub(f.start)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	clear, again := shard.clear[s]
	if !again && len(shard.clear) >= max(1, f.config.Size/failureShards) {
		shard.makeRoom(now)
	}
	shard.clear[s] = now + min(f.debt(clear, now), f.allowance())
}

// makeRoom forgets who has nothing to answer for, or the least among a few: an
// address that fails all the time stays, however many others fail once.
func (s *failureShard) makeRoom(now time.Duration) {
	var least suspect
	earliest, looked := time.Duration(-1), 0
	for candidate, clear := range s.clear { // in random order
		if earliest < 0 || clear < earliest {
			least, earliest = candidate, clear
		}
		if looked++; looked == candidates || clear <= now {
			break
		}
	}
	delete(s.clear, least)
}

// FailuresInfo describes Failures, for metrics.
type FailuresInfo struct {
	// Noted counts the failures, Limited the requests that were refused because of them.
	Noted, Limited uint64
	// Suspects is how many are remembered, among them some that have nothing left to answer for.
	Suspects int
}

// Info describes the failures as they are now.
func (f *Failures) Info() FailuresInfo {
	info := FailuresInfo{Noted: f.noted.Load(), Limited: f.limited.Load()}
	for i := range f.shards {
		f.shards[i].mu.Lock()
		info.Suspects += len(f.shards[i].clear)
		f.shards[i].mu.Unlock()
	}
	return info
}

package ratelimit

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"hash/maphash"
	"sync"
	"time"

	"go.uber.org/zap"
)

// A caller that is refused this often within a minute is worth a line in the log: as
// often as its limit allows at all, but neither a handful of times nor a flood's worth.
const (
	leastHard = 20
	mostHard  = 1000
)

// hardPeriod is how long refusals are added up, and how long a caller that has had its
// line gets no other.
const hardPeriod = time.Minute

// hardLines is how many lines a period has at most, whoever is refused.
const hardLines = 20

// offenders counts refusals by caller, in a table of a fixed size: callers who meet in
// a place push each other out, and what is lost is a line in the log.
type offenders struct {
	seed maphash.Seed

	mu    sync.Mutex
	table [1024]offender
	lines int
	since time.Time // of lines
}

type offender struct {
	caller uint64
	since  time.Time
	count  uint32
}

// refused are the callers of this process.
var refused = offenders{seed: maphash.MakeSeed()}

// note counts a refusal, and says whether this one is worth a line.
func (o *offenders) note(zone *Zone, key string, now time.Time) bool {
	var hash maphash.Hash
	hash.SetSeed(o.seed)
	_, _ = hash.WriteString(zone.api) // never fails
	_ = hash.WriteByte(0)
	_, _ = hash.WriteString(zone.name)
	_ = hash.WriteByte(0)
	_, _ = hash.WriteString(key)
	caller := hash.Sum64()

	o.mu.Lock()
	defer o.mu.Unlock()
	at := &o.table[caller%uint64(len(o.table))]
	if at.caller != caller || now.Sub(at.since) >= hardPeriod {
		*at = offender{caller: caller, since: now}
	}
	at.count++
	if at.count != zone.hard {
		return false
	}
	if now.Sub(o.since) >= hardPeriod {
		o.lines, o.since = 0, now
	}
	o.lines++
	return o.lines <= hardLines
}

// callerSecret keys the hashes of callers, so that a log tells one from the other and
// nobody can find out by trying who they are: there are not many addresses.
var callerSecret = []byte(rand.Text())

// callerOf gives the word that stands for a key in the log of this process.
func callerOf(z *Zone, key string) string {
	mac := hmac.New(sha256.New, callerSecret)
	for _, text := range []string{z.api, z.name, key} {
		_, _ = mac.Write([]byte(text)) // never fails
		_, _ = mac.Write([]byte{0})
	}
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// noteRefusal logs a caller that hits its limit hard, once a minute.
func (h *Handler) noteRefusal(z *Zone, key string) {
	if refused.note(z, key, time.Now()) {
		h.logger.Warn("a caller is far over its limit", zap.String("api", z.api), zap.String("zone", z.name),
			zap.String("caller", callerOf(z, key)), zap.Uint32("refused", z.hard), zap.Duration("within", hardPeriod))
	}
}

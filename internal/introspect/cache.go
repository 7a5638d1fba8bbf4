package introspect

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/open-tollgate/tollgate/internal/token"
)

// name stands for a token. The token itself is a secret and is not kept.
type name [sha256.Size]byte

// verdict is what came of a question: a token or a refusal.
type verdict struct {
	token   *token.Token
	refusal error
	end     time.Time // until when it may be given again
}

// cache remembers verdicts. When it is full, the one that has been there for the
// longest time goes: it was about to end anyway.
type cache struct {
	size int

	mu       sync.RWMutex
	verdicts map[name]verdict
	queue    []name // a ring once it is full
	oldest   int
}

func newCache(size int) *cache {
	return &cache{size: size, verdicts: make(map[name]verdict)}
}

func (c *cache) find(n name, now time.Time) (verdict, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	v, found := c.verdicts[n]
	return v, found && now.Before(v.end)
}

func (c *cache) add(n name, v verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, again := c.verdicts[n]
	c.verdicts[n] = v
	if again {
		return // its place in the queue stays
	}
	if len(c.queue) < c.size {
		c.queue = append(c.queue, n)
		return
	}
	delete(c.verdicts, c.queue[c.oldest])
	c.queue[c.oldest] = n
	c.oldest = (c.oldest + 1) % c.size
}

func (c *cache) len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.verdicts)
}

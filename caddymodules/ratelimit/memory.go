package ratelimit

import (
	"github.com/caddyserver/caddy/v2"

	"github.com/open-tollgate/tollgate/internal/limit"
)

// memoryPool keeps this process's counts over a reload: the new configuration takes
// the store before the old one lets it go.
var memoryPool = caddy.NewUsagePool()

const memoryKey = "memory"

// memory is the pooled store. There is nothing to close.
type memory struct{ *limit.Memory }

// Destruct implements caddy.Destructor.
func (memory) Destruct() error { return nil }

func takeMemory() limit.Store {
	store, _ := memoryPool.LoadOrStore(memoryKey, memory{limit.NewMemory(limit.MemoryConfig{})})
	return store.(memory)
}

func releaseMemory() error {
	_, err := memoryPool.Delete(memoryKey)
	return err
}

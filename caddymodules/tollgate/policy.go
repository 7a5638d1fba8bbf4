package tollgate

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/open-tollgate/tollgate/internal/policy"
)

// loaded is the policy of a configuration that is being loaded, or runs.
type loaded struct {
	config reflect.Value // whose it is, and what keeps its address from being another's
	hash   string        // empty where it is not known
	err    error         // why it is not
	model  func() (*policy.Config, error)

	judged  bool // by reload_guard
	changes *policy.DiffResult
}

// newLoaded reads the policy of a configuration.
func newLoaded(ctx caddy.Context) *loaded {
	l := new(loaded)
	if l.config, l.err = configOf(ctx); l.err != nil {
		return l
	}
	var text []byte
	if text, l.err = readConfig(ctx); l.err != nil {
		return l
	}
	l.hash, l.err = policy.Hash(text)
	l.model = sync.OnceValues(func() (*policy.Config, error) { return policy.Parse(text) })
	return l
}

// incoming is the policy that the admin API saw last when a configuration came in, before
// any app of it was set up.
var incoming atomic.Pointer[loaded]

// policyOf gives the policy of the configuration that is being set up. The admin API has
// seen all of it, where there is one; else it is what can still be read.
func policyOf(ctx caddy.Context) *loaded {
	seen := incoming.Load()
	if config, err := configOf(ctx); err == nil && seen != nil && seen.config.Pointer() == config.Pointer() {
		return seen
	}
	return newLoaded(ctx)
}

// compareTime bounds how long two policies are compared.
const compareTime = 30 * time.Second

// compare gives what the new one opens and closes.
func compare(ctx context.Context, before, after *loaded, cores int) (d *policy.DiffResult, err error) {
	defer func() { // it reads what nothing has validated yet, in an edge that serves
		if fault := recover(); fault != nil {
			d, err = nil, fmt.Errorf("the comparison failed: %v", fault)
		}
	}()
	if err := before.err; err != nil {
		return nil, err
	}
	if err := after.err; err != nil {
		return nil, err
	}
	was, err := before.model()
	if err != nil {
		return nil, err
	}
	is, err := after.model()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, compareTime)
	defer cancel()
	return policy.DiffWithin(ctx, was, is, time.Now(), cores), nil
}

// unknownPolicy is the hash of a policy that could not be read.
const unknownPolicy = "unknown"

// PolicyHash names the policy of this configuration, for logs and records.
func (a *App) PolicyHash() string {
	if a.policy.hash == "" {
		return unknownPolicy
	}
	return a.policy.hash
}

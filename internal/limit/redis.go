package limit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// defaultDeadline is how long a decision may take. It is long for Redis, so that a
// hiccup of the network refuses nobody, and short for a caller.
const defaultDeadline = 250 * time.Millisecond

//go:embed sliding.lua
var slidingScript string

// redisClock reads the only clock that all nodes share.
const redisClock = `
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
`

// RedisConfig sets a Redis store up.
type RedisConfig struct {
	// Client connects when it is first used. It must have ContextTimeoutEnabled, or
	// the deadline does not reach its sockets.
	Client redis.UniversalClient
	// Prefix begins every key: "tollgate" when empty.
	Prefix string
	// Deadline bounds a decision: 250 ms when zero.
	Deadline time.Duration
}

// Redis counts in a Redis that any number of nodes share. Each decision is one call
// of one script, by Redis's own clock.
type Redis struct {
	client   redis.UniversalClient
	prefix   string
	deadline time.Duration
	text     string // of the script
	digest   string
}

// NewRedis makes the store. It does not dial.
func NewRedis(c RedisConfig) *Redis {
	if c.Prefix == "" {
		c.Prefix = "tollgate"
	}
	if c.Deadline <= 0 {
		c.Deadline = defaultDeadline
	}
	r := &Redis{client: c.Client, prefix: c.Prefix, deadline: c.Deadline}
	r.setClock(redisClock)
	return r
}

// setClock completes the script with the lines that set its `now`.
func (r *Redis) setClock(lines string) {
	r.text = lines + slidingScript
	r.digest = redis.NewScript(r.text).Hash()
}

// Take implements Store.
func (r *Redis) Take(ctx context.Context, debits []Debit, into []State) (Decision, error) {
	if err := check(debits); err != nil {
		return Decision{}, err
	}
	// A caller that hangs up must not cost the connection, which a cancelled command does.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.deadline)
	defer cancel()
	reply, err := r.run(ctx, r.arguments(debits))
	if err != nil {
		return Decision{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return decode(reply, debits, into)
}

// arguments gives what follows the script: the keys and their limits.
func (r *Redis) arguments(debits []Debit) []any {
	args := make([]any, 0, 1+4*len(debits))
	args = append(args, len(debits))
	for _, d := range debits {
		args = append(args, r.key(d))
	}
	for _, d := range debits {
		args = append(args, d.Limit.events, d.Limit.grid.width, d.Limit.grid.span)
	}
	return args
}

// key names the hash of a subject. The braces make its scope the hash tag, which
// puts all keys of a call on one shard of a Redis Cluster.
func (r *Redis) key(d Debit) string {
	return "{" + r.prefix + ":" + d.Limit.scope + "}:" + d.Limit.local + ":" + boundKey(d.Key)
}

// run calls the script by its digest, and by its text when Redis does not have it:
// then nothing of it was executed, and the same command may be sent again.
func (r *Redis) run(ctx context.Context, args []any) ([]int64, error) {
	reply, err := r.call(ctx, "evalsha", r.digest, args)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		reply, err = r.call(ctx, "eval", r.text, args)
	}
	return reply, err
}

func (r *Redis) call(ctx context.Context, name, script string, args []any) ([]int64, error) {
	c := once{redis.NewCmd(ctx, append([]any{name, script}, args...)...)}
	c.SetFirstKeyPos(3)
	if err := r.client.Process(ctx, c); err != nil {
		return nil, err
	}
	return c.Int64Slice()
}

// once is a command that the client never repeats after a timeout or a lost
// connection, whatever its settings: Redis may have executed it, and a second debit
// would count a request twice. Redirections inside a cluster were not executed, and are followed.
type once struct{ *redis.Cmd }

// NoRetry overrides the method of redis.Cmder.
func (once) NoRetry() bool { return true }

// decode reads the script's reply.
func decode(reply []int64, debits []Debit, into []State) (Decision, error) {
	if len(reply) != 1+2*len(debits) {
		return Decision{}, fmt.Errorf("%w: %w", ErrUnavailable, errors.New("reply of the wrong length"))
	}
	allowed := reply[0] == 1
	for i, d := range debits {
		used, wait := reply[1+2*i], time.Duration(reply[2+2*i])*time.Microsecond
		into = append(into, newState(d.Limit, used, wait, allowed))
	}
	return Decision{Allowed: allowed, States: into}, nil
}

package limit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// DefaultTimeout is how long a node listens for an answer. Callers do not wait as
	// long: what comes late is given back.
	DefaultTimeout = 250 * time.Millisecond
	// nodeLife is how long a node counts that is not heard of.
	nodeLife = 5 * time.Second
)

//go:embed script.lua
var script string

//go:embed nodes.lua
var nodesScript string

// redisClock reads the only clock that all nodes share.
const redisClock = `
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
`

// RedisConfig sets a Redis store up.
type RedisConfig struct {
	// Client connects when it is first used. It must have ContextTimeoutEnabled, or
	// the timeout does not reach its sockets.
	Client redis.UniversalClient
	// Prefix begins every key: "tollgate" when empty.
	Prefix string
	// Timeout is how long to listen for an answer: 250 ms when zero. A decision's
	// deadline is the engine's.
	Timeout time.Duration
}

// Redis counts in a Redis that any number of nodes share, by Redis's own clock.
type Redis struct {
	client  redis.UniversalClient
	prefix  string
	timeout time.Duration
	script  program
	nodes   program
}

// program is a script and its digest.
type program struct{ text, digest string }

func newProgram(text string) program { return program{text, redis.NewScript(text).Hash()} }

// NewRedis makes the store. It does not dial.
func NewRedis(c RedisConfig) *Redis {
	if c.Prefix == "" {
		c.Prefix = "tollgate"
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	r := &Redis{client: c.Client, prefix: c.Prefix, timeout: c.Timeout}
	r.setClock(redisClock)
	return r
}

// setClock completes the scripts with the lines that set their `now`.
func (r *Redis) setClock(lines string) {
	r.script, r.nodes = newProgram(lines+script), newProgram(lines+nodesScript)
}

// Take implements Store. It asks Redis each time, and knows of no other node: an
// Engine above it is what handlers want.
func (r *Redis) Take(ctx context.Context, debits []Debit, into []State) (Decision, error) {
	if err := check(debits, (*Limit).sharedRule); err != nil {
		return Decision{}, err
	}
	asks := make([]ask, 0, len(debits))
	for _, d := range debits {
		asks = append(asks, ask{limit: d.Limit, key: boundKey(d.Key), need: d.cost()})
	}
	answers, err := r.run(ctx, &batch{scope: debits[0].Limit.scope, nodes: 1, ops: []op{{code: opTake, asks: asks}}})
	if err != nil {
		return Decision{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	for i, d := range debits {
		into = append(into, answers.answers[i].state(d.Limit))
	}
	return Decision{Allowed: answers.allowed[0], States: into}, nil
}

// state sums an answer up.
func (a answer) state(l *Limit) State {
	return State{Short: a.short, Remaining: max(l.shared.events-a.used, 0), Wait: time.Duration(a.wait) * time.Microsecond}
}

// send implements remote.
func (r *Redis) send(b *batch, done func(*result, error)) {
	go func() { done(r.run(context.Background(), b)) }()
}

// beat implements remote.
func (r *Redis) beat(node string, leave bool, done func(int, error)) {
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), r.timeout)
		defer cancel()
		life := nodeLife.Microseconds()
		if leave {
			life = 0
		}
		reply, err := r.eval(ctx, r.nodes, []any{1, "{" + r.prefix + "}:nodes", node, life})
		if err == nil && len(reply) != 1 {
			err = errShape
		}
		if err != nil {
			done(0, err)
			return
		}
		done(int(reply[0]), nil)
	}()
}

func (r *Redis) run(ctx context.Context, b *batch) (*result, error) {
	// A caller that hangs up must not cost the connection, which a cancelled command does.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.timeout)
	defer cancel()
	reply, err := r.eval(ctx, r.script, r.arguments(b))
	if err != nil {
		return nil, err
	}
	return decode(b, reply)
}

// arguments gives what follows the script: the keys and the rest. Each subject is
// there once, however many steps speak of it.
func (r *Redis) arguments(b *batch) []any {
	tag := "{" + r.prefix + ":" + b.scope + "}:"
	keys := []any{0, tag + "epoch", tag + "given:" + b.node}
	var subjects, steps []any
	numbers := make(map[string]int)
	number := func(a ask) int {
		key := tag + a.limit.local + ":" + a.key
		n, known := numbers[key]
		if !known {
			n = len(numbers) + 1
			numbers[key] = n
			keys, subjects = append(keys, key), append(subjects, a.limit.shared.arguments()...)
		}
		return n
	}
	for _, o := range b.ops {
		steps = append(steps, int64(o.code))
		if o.code != opTake {
			a := o.asks[0]
			steps = append(steps, number(a), a.need, a.at)
			continue
		}
		steps = append(steps, len(o.asks))
		for _, a := range o.asks {
			shadow := 0
			if a.limit.shadow {
				shadow = 1
			}
			steps = append(steps, number(a), a.need, a.want, shadow)
		}
	}
	keys[0] = len(keys) - 1
	args := append(keys, b.node, b.nodes, b.epoch, b.gives, len(numbers))
	return append(append(args, subjects...), steps...)
}

// arguments gives the numbers by which the script knows a rule.
func (r *rule) arguments() []any {
	switch {
	case r.kind == GCRA:
		return []any{4, r.events, r.interval, 0, r.slice}
	case r.kind == Concurrency:
		return []any{5, r.events, 0, 0, 0}
	case r.grid.month:
		return []any{3, r.events, 0, r.grid.span, r.slice}
	case r.kind == Calendar:
		return []any{2, r.events, r.grid.width, r.grid.span, r.slice}
	default:
		return []any{1, r.events, r.grid.width, r.grid.span, r.slice}
	}
}

// eval calls a script by its digest, and by its text when Redis does not have it:
// then nothing of it was executed, and the same command may be sent again.
func (r *Redis) eval(ctx context.Context, p program, args []any) ([]int64, error) {
	reply, err := r.call(ctx, "evalsha", p.digest, args)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		reply, err = r.call(ctx, "eval", p.text, args)
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

// errShape is what a proxy, or a Redis that answers nonsense, gets.
var errShape = errors.New("reply of the wrong length")

// perAnswer is how many numbers an answer has.
const perAnswer = 6

// decode reads the script's reply.
func decode(b *batch, reply []int64) (*result, error) {
	if len(reply) == 0 {
		return nil, errShape
	}
	res := &result{epoch: reply[0]}
	reply = reply[1:]
	if b.epoch != 0 && res.epoch != b.epoch {
		return res, nil // nothing was done
	}
	for _, o := range b.ops {
		if !o.code.answered() {
			continue
		}
		if o.code == opTake {
			if len(reply) == 0 {
				return nil, errShape
			}
			res.allowed = append(res.allowed, reply[0] == 1)
			reply = reply[1:]
		}
		if len(reply) < perAnswer*len(o.asks) {
			return nil, errShape
		}
		for range o.asks {
			res.answers = append(res.answers, answer{short: reply[0] == 1, extra: reply[1], used: reply[2],
				wait: reply[3], bucket: reply[4], left: reply[5]})
			reply = reply[perAnswer:]
		}
	}
	if len(reply) != 0 {
		return nil, errShape
	}
	return res, nil
}

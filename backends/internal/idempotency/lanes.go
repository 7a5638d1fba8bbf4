package idempotency

import (
	"context"
	"sync"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/rest"
)

// Requests wait for each other in the database: for a wallet, or for the payments of a shop
// that a rule counts. Each that waits there holds one of the pool's sixteen connections, and
// if all did, nobody could read, and nobody else pay, until the first had done. So the
// requests of one client get a part of them, those of all clients not quite all, and the
// others wait here, where they hold nothing.
const (
	perClient = 8
	inAll     = 12
	// laneWait is how long a request waits for its turn: as long as a statement may take.
	laneWait = 30 * time.Second
)

// lanes are the turns that are taken. It is safe for concurrent use.
type lanes struct {
	all chan struct{}
	mu  sync.Mutex
	of  map[string]*lane // by client, as long as it has requests
}

type lane struct {
	turns    chan struct{}
	requests int // that have a turn, or wait for one
}

func newLanes() *lanes {
	return &lanes{all: make(chan struct{}, inAll), of: make(map[string]*lane)}
}

// take waits for a turn of the client's, and gives what ends it.
func (l *lanes) take(ctx context.Context, client string) (done func(), err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, laneWait, rest.Busy())
	defer cancel()
	own := l.enter(client)
	for i, turns := range []chan struct{}{own.turns, l.all} {
		select {
		case turns <- struct{}{}:
		case <-ctx.Done():
			if i > 0 {
				<-own.turns
			}
			l.leave(client)
			return nil, context.Cause(ctx)
		}
	}
	return func() {
		<-l.all
		<-own.turns
		l.leave(client)
	}, nil
}

func (l *lanes) enter(client string) *lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of[client] == nil {
		l.of[client] = &lane{turns: make(chan struct{}, perClient)}
	}
	l.of[client].requests++
	return l.of[client]
}

func (l *lanes) leave(client string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of[client].requests--; l.of[client].requests == 0 {
		delete(l.of, client)
	}
}

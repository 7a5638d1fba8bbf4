package introspect

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/open-tollgate/tollgate/internal/discovery"
)

// How often the issuer's metadata is looked up: hourly when that works, and after a
// failure not for a moment, however many ask.
const (
	lookup = time.Hour
	retry  = time.Second
)

// member is where RFC 8414 has the endpoint.
const member = "introspection_endpoint"

// endpoint is where to ask: the URL that is configured, or the one of the issuer's
// metadata. One that was found goes on serving while it cannot be looked up again.
type endpoint struct {
	issuer string
	client *http.Client
	now    func() time.Time
	fixed  string // empty: discovered

	mu    sync.Mutex // held during the first look-up: the others wait for its outcome
	found string
	again time.Time // when to look it up next
	err   error     // of the last look-up
}

func newEndpoint(c Config) *endpoint {
	return &endpoint{issuer: c.Issuer.URL, client: c.Client, now: c.Now, fixed: c.Endpoint}
}

func (e *endpoint) find(ctx context.Context) (string, error) {
	if e.fixed != "" {
		return e.fixed, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	due := !e.now().Before(e.again)
	switch {
	case e.found != "" && due:
		e.again = e.now().Add(retry)
		go e.renew() // bounded by the client's timeout
	case e.found == "" && due:
		found, err := discovery.Find(ctx, e.client, e.issuer, member)
		if err != nil && errors.Is(ctx.Err(), context.Canceled) {
			return "", err // says nothing about the issuer: a configuration has ended
		}
		e.note(found, err)
	}
	if e.found == "" {
		return "", e.err
	}
	return e.found, nil
}

// renew looks it up again, beside the questions.
func (e *endpoint) renew() {
	found, err := discovery.Find(context.Background(), e.client, e.issuer, member)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.note(found, err)
}

// note takes the outcome of a look-up. e.mu is held.
func (e *endpoint) note(found string, err error) {
	e.err, e.again = err, e.now().Add(retry)
	if err == nil {
		e.found, e.again = found, e.now().Add(lookup)
	}
}

// Prepare looks up where to ask, so that no request has to wait for it.
func (c *Client) Prepare(ctx context.Context) error {
	_, err := c.endpoint.find(ctx)
	return err
}

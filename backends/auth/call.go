package auth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"

	"github.com/open-tollgate/tollgate/backends/auth/internal/store"
	"github.com/open-tollgate/tollgate/backends/auth/internal/vault"
)

// The endpoints.
const (
	authorizePath  = "/oauth/authorize"
	tokenPath      = "/oauth/token"
	parPath        = "/oauth/par"
	introspectPath = "/oauth/introspect"
	revokePath     = "/oauth/revoke"
	jwksPath       = "/oauth/jwks"
	userinfoPath   = "/oauth/userinfo"
	assetsPath     = "/oauth/assets/"
	openIDPath     = "/.well-known/openid-configuration"
	metadataPath   = "/.well-known/oauth-authorization-server" // RFC 8414
	metricsPath    = "/metrics"                                // for Prometheus; the edge does not route it
	grantsPath     = "/internal/users/{user}/grants"           // for the users service; the edge does not route it
)

// call is what is known about one request beside what the library reads of it.
// It travels in the request's context, into the library's callbacks and back.
type call struct {
	path      string
	clientID  string
	assertion bool            // the first jti is that of a client assertion
	form      url.Values      // the parameters, each of them once
	details   []paymentDetail // authorization_details, parsed strictly

	mu    sync.Mutex
	jtis  int
	cause error // what the library refused for
	away  bool  // the store failed while the caller waited
}

type callKey struct{}

func withCall(r *http.Request, c *call) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), callKey{}, c))
}

// callOf gives the call; an empty one where the library is asked for something
// outside of a request.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{}
}

// refused notes the cause of a refusal; the first one is the cause.
func (c *call) refused(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.cause = err
	}
}

// noteStore remembers that the store failed, and passes its error on. A caller who
// hung up has failed it himself: that does not count.
func (c *call) noteStore(ctx context.Context, err error) error {
	if errors.Is(err, store.ErrUnavailable) && ctx.Err() == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.away = true
	}
	return err
}

func (c *call) storeFailed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.away
}

// nextJTI tells what the next consumed jti belongs to: the library says only the
// jti itself, and looks at the assertion before it looks at the proof.
func (c *call) nextJTI() vault.Purpose {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jtis++
	if c.assertion && c.jtis == 1 {
		return store.Assertion
	}
	return store.Proof
}

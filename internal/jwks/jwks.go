// Package jwks keeps the public keys of an issuer at hand. Whoever verifies a
// token reads a snapshot in memory; fetching happens beside the request path, and
// how much of it strangers can cause with invented key ids is bounded.
package jwks

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/open-tollgate/tollgate/internal/outbound"
)

// Bounds that nobody has needed to change.
const (
	fetchTimeout = 5 * time.Second
	// maxBody bounds a key set.
	maxBody = 512 << 10
	maxKeys = 64
	// minRefresh and maxRefresh clamp what the issuer's Cache-Control says;
	// usualRefresh is for an issuer that says nothing.
	minRefresh   = time.Minute
	usualRefresh = 5 * time.Minute
	maxRefresh   = time.Hour
	// maxWait bounds how long a request waits for a fetch.
	maxWait = 2 * time.Second
	// staleLimit is how long keys are trusted while the issuer cannot be reached.
	staleLimit = 24 * time.Hour
	// minRetry and maxRetry bound the pause after a fetch that failed.
	minRetry = time.Second
	maxRetry = 30 * time.Second
)

// Config is what a Set is made of.
type Config struct {
	// Issuer is the issuer's identifier. Metadata has to bear it exactly.
	Issuer string
	// JWKSURL is where the keys are; when empty it is discovered (RFC 8414, then OpenID).
	JWKSURL string
	// Client makes the requests; a default one when nil. Its timeout and redirect
	// policy are replaced.
	Client *http.Client
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// Logger hears of failed fetches and of keys that are left out; silent when nil.
	Logger *slog.Logger
}

// check completes the configuration.
func (c Config) check() (Config, error) {
	if c.Issuer == "" && c.JWKSURL == "" {
		return c, errors.New("keys: neither an issuer nor a key set URL")
	}
	if c.JWKSURL == "" {
		if err := outbound.CheckURL(c.Issuer); err != nil {
			return c, fmt.Errorf("issuer: %w", err)
		}
	} else if err := outbound.CheckURL(c.JWKSURL); err != nil {
		return c, fmt.Errorf("key set: %w", err)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Client = outbound.Restrict(c.Client, fetchTimeout)
	return c, nil
}

package jwks

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/open-tollgate/tollgate/internal/discovery"
	"github.com/open-tollgate/tollgate/internal/outbound"
)

// fetcher gets key sets. Only one flight at a time uses it.
type fetcher struct {
	Config
	// discovered is the key set's URL from metadata; forgotten when it fails.
	discovered string
	// looked is when it was discovered; zero when it is to be looked up again.
	looked time.Time
}

// fetch gets the key set and says how long it may be kept.
func (f *fetcher) fetch(ctx context.Context) (*snapshot, time.Duration, error) {
	address, err := f.address(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("discovery: %w", err)
	}
	document, header, err := f.get(ctx, address)
	if err != nil {
		f.discovered = ""
		return nil, 0, fmt.Errorf("key set: %w", err)
	}
	s, err := parse(document)
	if err != nil {
		f.discovered = ""
		return nil, 0, fmt.Errorf("key set: %w", err)
	}
	s.fetched = f.Now()
	return s, lifetime(header), nil
}

// doubt has the next fetch look the metadata up again: an issuer that moves its keys
// may leave the old set where it was.
func (f *fetcher) doubt() { f.looked = time.Time{} }

// address gives the URL of the key set. One that was discovered is looked up again
// now and then, and goes on serving while that fails.
func (f *fetcher) address(ctx context.Context) (string, error) {
	if f.JWKSURL != "" {
		return f.JWKSURL, nil
	}
	if f.discovered != "" && f.Now().Sub(f.looked) < maxRefresh {
		return f.discovered, nil
	}
	found, err := discovery.Find(ctx, f.Client, f.Issuer, "jwks_uri")
	switch {
	case err == nil:
		f.discovered, f.looked = found, f.Now()
	case f.discovered == "":
		return "", err
	case ctx.Err() == nil:
		f.Logger.Warn("cannot look up where the keys of an issuer are; using what is known", "issuer", f.Issuer, "error", err)
	}
	return f.discovered, nil
}

// get fetches a bounded document.
func (f *fetcher) get(ctx context.Context, address string) ([]byte, http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := f.Client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := outbound.ReadBody(response, maxBody)
	if err != nil {
		return nil, nil, fmt.Errorf("%s %w", address, err)
	}
	return body, response.Header, nil
}

// lifetime is the answer's max-age, clamped.
func lifetime(h http.Header) time.Duration {
	age := usualRefresh
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
			age = time.Duration(seconds) * time.Second
		}
	}
	return min(max(age, minRefresh), maxRefresh)
}

// jitter spreads what many edges do at the same time: up to a tenth less.
func jitter(d time.Duration) time.Duration {
	return d - rand.N(d/10)
}

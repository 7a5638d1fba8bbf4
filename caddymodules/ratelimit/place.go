package ratelimit

import (
	"context"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/open-tollgate/tollgate/internal/limit"
)

// Place is a zone that a request is in, and whom it counts for there. It is for who looks
// at limits beside the requests that count: the cases of `tollgate policy test`.
type Place struct {
	API, Zone string
	Shadow    bool
	// Keyless says that the request does not say whom it counts for.
	Keyless bool

	key    string
	limit  *limit.Limit
	engine *limit.Engine
}

// Places gives the zones that the request is in. It counts nothing.
func (h *Handler) Places(r *http.Request) []Place {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return nil
	}
	var places []Place
	for _, z := range h.zones {
		if matches, err := z.matchers.AnyMatchWithError(r); len(z.matchers) > 0 && (err != nil || !matches) {
			continue
		}
		key, full := z.template.fill(repl, z.networks)
		if !full && z.EmptyKey == emptyKeySkip {
			continue
		}
		places = append(places, Place{
			API: z.api, Zone: z.name, Shadow: z.Shadow, Keyless: !full && z.EmptyKey == emptyKeyDeny,
			key: key, limit: z.limit, engine: h.engine,
		})
	}
	return places
}

// Remaining is what whom the request counts for has left now.
func (p Place) Remaining(ctx context.Context) (int64, error) {
	at, err := p.engine.Inspect(ctx, p.limit, p.key)
	return at.Remaining, err
}

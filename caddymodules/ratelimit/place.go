package ratelimit

import (
	"context"
	"errors"
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

	debit  limit.Debit
	most   int64
	engine *limit.Engine
	passes bool // what is under way is not counted any more when its answer is there
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
		cost, _ := z.Cost.of(repl)
		key, full := z.template.fill(repl, z.networks)
		if !full && z.EmptyKey == emptyKeySkip {
			continue
		}
		places = append(places, Place{
			API: z.api, Zone: z.name, Shadow: z.Shadow, Keyless: !full && z.EmptyKey == emptyKeyDeny,
			debit: limit.Debit{Limit: z.limit, Key: key, Cost: cost}, most: z.most(), engine: h.engine, passes: z.Kind == limit.Concurrency,
		})
	}
	return places
}

// Remaining is what whom the request counts for has left now.
func (p Place) Remaining(ctx context.Context) (int64, error) {
	at, err := p.engine.Inspect(ctx, p.debit.Limit, p.debit.Key)
	return at.Remaining, err
}

// errSpent says that there is no room for that many.
var errSpent = errors.New("the limits have no room for so many requests")

// Spend counts as much in the places as the request would, if it was sent so many times
// at this very moment.
func Spend(ctx context.Context, places []Place, times int) error {
	var debits []limit.Debit
	for _, p := range places {
		d := p.debit
		if p.passes || p.Keyless || d.Cost == 0 {
			continue
		}
		d.Cost *= int64(times)
		if d.Cost > p.most && !p.Shadow {
			return errSpent
		}
		d.Cost = min(d.Cost, p.most) // in shadow, what is over counts for nothing
		debits = append(debits, d)
	}
	if len(debits) == 0 {
		return nil
	}
	decision, err := places[0].engine.Take(ctx, debits, nil)
	if err == nil && !decision.Allowed {
		err = errSpent
	}
	return err
}

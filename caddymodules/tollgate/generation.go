package tollgate

import (
	"sync/atomic"

	"github.com/open-tollgate/tollgate/internal/access"
)

// After a reload, connections that are open go on talking to the handlers of the old
// configuration until they are drained. What the new one no longer allows must be
// refused there too, so an old handler asks the newest app that runs for its checker.
var (
	newest      atomic.Pointer[App]
	generations atomic.Uint64
)

// takeOver makes this app the one that decides, and gives the one that did.
func (a *App) takeOver() (before *App) {
	before = newest.Swap(a)
	a.before.Store(before)
	return before
}

// handBack ends this app's deciding. If it was the newest, either nobody is to decide for
// others any more; or a reload has failed half way, and who decided before does again.
func (a *App) handBack() (again *App, newestOfAll bool) {
	before := a.before.Swap(nil)
	if newest.CompareAndSwap(a, before) {
		return before, true
	}
	if now := newest.Load(); now != nil {
		now.before.CompareAndSwap(a, nil) // which cannot decide again
	}
	return nil, false
}

// deciding gives the app whose word counts: the newest that runs, or this one if it is
// as new.
func (a *App) deciding() *App {
	if now := newest.Load(); now != nil && now.generation > a.generation {
		return now
	}
	return a
}

// Current gives the checker to use for an API of this app's configuration. The own
// one is used unless a newer configuration runs and has another for that API. It is
// nil when the API is gone.
func (a *App) Current(api string, own *access.Checker) *access.Checker {
	now := a.deciding()
	if now == a {
		return own
	}
	if checker, ok := now.checkers[api]; ok {
		return checker
	}
	if _, public := now.apis[api]; public {
		return own
	}
	return nil
}

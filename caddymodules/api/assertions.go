package api

import (
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
)

// overruledError says that one identity_assertion never has a say, because another one
// that comes after it is for all of its requests.
type overruledError struct{ api, first, second string }

func (e *overruledError) Error() string {
	return fmt.Sprintf("api %s: identity_assertion %s is for every request that identity_assertion %s is for, and comes after it: give each a matcher that the other does not share",
		e.api, e.second, e.first)
}

// checkAssertions refuses a list of routes in which an identity_assertion replaces what
// one before it has put there, whatever the request is. A Caddyfile sorts the one
// without a matcher to the end. It has to run before the routes are set up, which takes
// their JSON away; what is wrong with that is said then.
func (h *Handler) checkAssertions(routes caddyhttp.RouteList) error {
	var before string // the audience of the one before; empty: none yet
	for _, route := range routes {
		var here string // of the one in this route, for the same requests
		for _, raw := range route.HandlersRaw {
			var handler struct {
				Handler  string              `json:"handler"`
				Audience string              `json:"audience"`
				Routes   caddyhttp.RouteList `json:"routes"`
			}
			if json.Unmarshal(raw, &handler) != nil {
				continue
			}
			if err := h.checkAssertions(handler.Routes); err != nil {
				return err
			}
			if handler.Handler != tollgate.IdentityAssertion {
				continue
			}
			if here == "" && len(route.MatcherSetsRaw) == 0 {
				here = before // for these requests too
			}
			if here != "" {
				return &overruledError{h.Name, here, handler.Audience}
			}
			here = handler.Audience
		}
		if here != "" {
			before = here
		}
	}
	return nil
}

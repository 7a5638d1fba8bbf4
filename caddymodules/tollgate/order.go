package tollgate

import "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

// The order of all of Tollgate's directives, in one place because it depends on the
// order of these calls: several that go before the same directive stay in sequence.
func init() {
	// Who calls, what they may do, how much: before anything that changes the request or answers it.
	httpcaddyfile.RegisterDirectiveOrder("access_token", httpcaddyfile.Before, "tracing")
	httpcaddyfile.RegisterDirectiveOrder("require", httpcaddyfile.Before, "tracing")
	httpcaddyfile.RegisterDirectiveOrder("rate_limit", httpcaddyfile.Before, "tracing")
	// Whom the service is told of: only when all of that has let the request pass.
	httpcaddyfile.RegisterDirectiveOrder("identity_assertion", httpcaddyfile.Before, "tracing")
	// What the edge publishes itself: after what limits and counts it.
	httpcaddyfile.RegisterDirectiveOrder("resource_metadata", httpcaddyfile.Before, "respond")
	httpcaddyfile.RegisterDirectiveOrder("assertion_keys", httpcaddyfile.Before, "respond")
	// A site's headers and encoding are outside its APIs; its other routes come after them.
	httpcaddyfile.RegisterDirectiveOrder("api", httpcaddyfile.Before, "invoke")
}

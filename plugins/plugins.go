// Package plugins is everything that is built into the shipped edge. xcaddy.txt lists
// the same for those who build their own; a test holds the two lists together.
package plugins

import (
	// Caddy itself.
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	// Tollgate.
	_ "github.com/open-tollgate/tollgate/caddymodules/accesstoken"
	_ "github.com/open-tollgate/tollgate/caddymodules/api"
	_ "github.com/open-tollgate/tollgate/caddymodules/ratelimit"
	_ "github.com/open-tollgate/tollgate/caddymodules/require"
	_ "github.com/open-tollgate/tollgate/caddymodules/tollgate"

	// Certificates shared by several edge nodes.
	_ "github.com/pberkel/caddy-storage-redis"
)

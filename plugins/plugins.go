// Package plugins is everything that is built into the shipped edge, beside Caddy's
// own modules. xcaddy.txt lists the same for those who build their own; a test holds
// the two lists together.
package plugins

import (
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/open-tollgate/tollgate"
	_ "github.com/pberkel/caddy-storage-redis" // certificates shared by several edge nodes
)

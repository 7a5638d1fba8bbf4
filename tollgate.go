// Package tollgate plugs Tollgate's modules into a Caddy build:
//
//	xcaddy build --with github.com/open-tollgate/tollgate
package tollgate

import (
	_ "github.com/open-tollgate/tollgate/caddymodules/accesstoken"       // who calls
	_ "github.com/open-tollgate/tollgate/caddymodules/api"               // the API that all of it is about
	_ "github.com/open-tollgate/tollgate/caddymodules/assertionkeys"     // the keys of what services are told
	_ "github.com/open-tollgate/tollgate/caddymodules/command"           // what operators do from the command line
	_ "github.com/open-tollgate/tollgate/caddymodules/identityassertion" // what services are told of the caller
	_ "github.com/open-tollgate/tollgate/caddymodules/ratelimit"         // how much
	_ "github.com/open-tollgate/tollgate/caddymodules/require"           // what they may do
	_ "github.com/open-tollgate/tollgate/caddymodules/resourcemetadata"  // what OAuth clients are told of the APIs
	_ "github.com/open-tollgate/tollgate/caddymodules/seamless"          // listeners that a reload does not interrupt
	_ "github.com/open-tollgate/tollgate/caddymodules/tollgate"          // what these share
)

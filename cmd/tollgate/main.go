// Command tollgate is the edge: Caddy with everything in package plugins built in.
package main

import (
	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/open-tollgate/tollgate/plugins"
)

func main() {
	caddy.CustomBinaryName = "tollgate"
	caddy.CustomLongDescription = `Tollgate is an API gateway for open payments: Caddy with modules that check
access tokens, scopes and rate limits before a request reaches a service.

All of Caddy's commands are here. "tollgate run" starts the edge with the
Caddyfile of the current folder, "tollgate validate" checks it without
connecting to anything, "tollgate reload" applies a changed one.`
	caddycmd.Main()
}

// Package command is the command line of the authorization server.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

const usage = `auth is Tollgate's authorization server (OAuth 2, FAPI 2.0).

  auth serve          run the server
  auth client add     register a client, print its credentials once
  auth client list    list the registered clients
  auth grant revoke   end what was granted, for good
  auth keys rotate    publish a new signing key that takes over after a delay

Each command explains its flags with --help. A flag's default can be set in the
environment: AUTH_ and its name, such as AUTH_DATABASE or AUTH_SECRET_FILE.
Every command brings the database up to date first.
`

// ErrUsage is a command line that was refused and explained.
var ErrUsage = errors.New("usage")

// Streams are where a command writes.
type Streams struct{ Out, Err io.Writer }

type command func(ctx context.Context, args []string, s Streams) error

var commands = map[string]command{
	"serve":        serve,
	"client add":   clientAdd,
	"client list":  clientList,
	"grant revoke": grantRevoke,
	"keys rotate":  keysRotate,
}

// Run finds the command in the first one or two words and runs it. A request for
// help ends as flag.ErrHelp or nil.
func Run(ctx context.Context, args []string, s Streams) error {
	for words := 1; words <= min(2, len(args)); words++ {
		if c, ok := commands[strings.Join(args[:words], " ")]; ok {
			return c(ctx, args[words:], s)
		}
	}
	if len(args) > 0 && (args[0] == "help" || args[0] == "-h" || args[0] == "--help") {
		fmt.Fprint(s.Out, usage)
		return nil
	}
	fmt.Fprint(s.Err, usage)
	return ErrUsage
}

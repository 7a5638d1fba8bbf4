// Package command adds what operators do to an edge from the command line.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/open-tollgate/tollgate/internal/redisclient"
	"github.com/open-tollgate/tollgate/internal/revocation"
)

// redisVariable is where the shipped Caddyfile finds Redis as well. A command line is
// no place for a password: everybody on the machine can read it.
const redisVariable = "TOLLGATE_REDIS"

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "token",
		Usage: "revoke --issuer URL (--jti ID | --grant ID | --subject NAME) [--redis URL]",
		Short: "Revokes access tokens at all edge nodes",
		Long: `
Withdraws access tokens before they expire: one by its jti, all of a grant by their
grant_id, or all that were issued to a subject before now. The revocation goes to
Redis, from which each edge node has it within a second.

Redis is that of the Caddyfile's tollgate option. Give its URL in the environment
variable ` + redisVariable + ` if there is a password in it.`,
		Flags: tokenFlags(),
		Func:  runToken,
	})
}

func tokenFlags() *flag.FlagSet {
	flags := flag.NewFlagSet("token", flag.ContinueOnError)
	flags.String("redis", "", "URL of the Redis that the edge nodes share; "+redisVariable+" if left out")
	flags.String("issuer", "", "The issuer of the tokens, exactly as in their iss")
	flags.String("jti", "", "Revoke the token with this jti")
	flags.String("grant", "", "Revoke the tokens with this grant_id")
	flags.String("subject", "", "Revoke the tokens of this sub that were issued before now")
	return flags
}

func runToken(flags caddycmd.Flags) (int, error) {
	if flags.NArg() != 1 || flags.Arg(0) != "revoke" {
		return caddy.ExitCodeFailedStartup, errors.New(`token: the only subcommand is "revoke"`)
	}
	what, err := parseRevocation(flags, time.Now())
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	if err := publish(redisURL(flags), what); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	fmt.Println("revoked")
	return caddy.ExitCodeSuccess, nil
}

// parseRevocation gives the one revocation that the flags ask for.
func parseRevocation(flags caddycmd.Flags, now time.Time) (revocation.Revocation, error) {
	issuer := flags.String("issuer")
	if issuer == "" {
		return revocation.Revocation{}, errors.New("token revoke: --issuer is needed")
	}
	var asked []revocation.Revocation
	if id := flags.String("jti"); id != "" {
		asked = append(asked, revocation.OfToken(issuer, id, now.Add(revocation.MaxLifetime)))
	}
	if id := flags.String("grant"); id != "" {
		asked = append(asked, revocation.OfGrant(issuer, id, now))
	}
	if subject := flags.String("subject"); subject != "" {
		asked = append(asked, revocation.OfSubject(issuer, subject, now))
	}
	if len(asked) != 1 {
		return revocation.Revocation{}, errors.New("token revoke: one of --jti, --grant and --subject is needed")
	}
	return asked[0], nil
}

func redisURL(flags caddycmd.Flags) string {
	if url := flags.String("redis"); url != "" {
		return url
	}
	return os.Getenv(redisVariable)
}

// publish returns when Redis has the revocation.
func publish(url string, what revocation.Revocation) error {
	client, err := redisclient.New(url)
	if err != nil {
		return fmt.Errorf("token revoke: %w", err)
	}
	defer func() { _ = client.Close() }()
	return revocation.NewStream(client, "").Revoke(context.Background(), what)
}

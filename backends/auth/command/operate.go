package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/open-tollgate/tollgate/backends/auth"
	"github.com/open-tollgate/tollgate/backends/internal/database"
)

// state are the flags that say where the server's state is.
type state struct{ database, secretFile *string }

func (f *flags) state() state {
	return state{
		database: f.text("database", "auth.db", "SQLite file, or postgres:// DSN"),
		secretFile: f.text("secret-file", "", `file with the master key of 32 bytes; made (mode 0600) for a new database.
With SQLite it can be left out: it is then beside the database, .key for .db.
With PostgreSQL it has to be told: every instance needs the same file`),
	}
}

// keyFile is where the master key is. Instances that share a PostgreSQL need one
// key: were its place guessed, each would make one of its own where it was started.
func (s state) keyFile() (string, error) {
	if *s.secretFile != "" {
		return *s.secretFile, nil
	}
	if database.DialectOf(*s.database) == database.Postgres {
		return "", errors.New("--secret-file (AUTH_SECRET_FILE) is missing: with PostgreSQL every instance needs the same master key; " +
			"name its file (it is made for a new database)")
	}
	return strings.TrimSuffix(strings.TrimPrefix(*s.database, "sqlite:"), ".db") + ".key", nil
}

// with opens the registry for one command, whose result is printed as JSON.
func (s state) with(ctx context.Context, out io.Writer, do func(*auth.Registry) (any, error)) error {
	keyFile, err := s.keyFile()
	if err != nil {
		return err
	}
	registry, err := auth.OpenRegistry(ctx, *s.database, keyFile)
	if err != nil {
		return err
	}
	result, err := do(registry)
	if closeErr := registry.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(result)
}

func clientAdd(ctx context.Context, args []string, streams Streams) error {
	f := newFlags(streams, "client add", `register a client and print one JSON object with its credentials, once.

  standard  authenticates with a secret (client_secret_basic); PAR and PKCE; bearer tokens
  fapi2     authenticates with private_key_jwt; PAR and PKCE; DPoP-bound tokens only

Lists are given by repeating the flag, or with commas.`)
	state := f.state()
	id := f.String("id", "", "client_id")
	name := f.String("name", "", "name, as users see it when they are asked to consent")
	kind := f.String("kind", "", "standard or fapi2; has no default, for it decides how safe the client is")
	redirects := f.list("redirect-uri", "where answers are sent: https, or http on loopback; compared exactly")
	scopes := f.list("scope", "scope that the client may have")
	grants := f.list("grant", "authorization_code, refresh_token or client_credentials")
	jwks := f.String("jwks", "", "file with the client's public keys as a JWK set (fapi2)")
	generate := f.Bool("generate-key", false, "make a key pair and print the private key (fapi2)")
	replace := f.Bool("replace", false, "replace a client of the same id and kind; it gets new credentials")
	changeKind := f.Bool("change-kind", false, "with --replace: replace a client of the other kind as well")
	if err := f.parse(args); err != nil {
		return err
	}
	registration := auth.Registration{
		ID: *id, Name: *name, Kind: *kind, RedirectURIs: *redirects, Scopes: *scopes, GrantTypes: *grants,
		GenerateKey: *generate, Replace: *replace, ChangeKind: *changeKind,
	}
	if *jwks != "" {
		keys, err := os.ReadFile(*jwks)
		if err != nil {
			return err
		}
		registration.JWKS = keys
	}
	return state.with(ctx, streams.Out, func(r *auth.Registry) (any, error) {
		client, err := r.AddClient(ctx, registration)
		if err != nil {
			return nil, fmt.Errorf("client add: %w", err)
		}
		return client, nil
	})
}

func clientList(ctx context.Context, args []string, streams Streams) error {
	f := newFlags(streams, "client list", "list the registered clients as a JSON array, without secrets.")
	state := f.state()
	if err := f.parse(args); err != nil {
		return err
	}
	return state.with(ctx, streams.Out, func(r *auth.Registry) (any, error) { return r.Clients(ctx) })
}

func grantRevoke(ctx context.Context, args []string, streams Streams) error {
	f := newFlags(streams, "grant revoke", `end a grant for good.

Its refresh token is no longer good, and introspection says so of its access tokens.
A running server that has the edges' Redis tells them within a second or two; without
Redis, access tokens pass the APIs until they expire.`)
	state := f.state()
	id := f.String("id", "", "the grant_id of the grant's tokens")
	if err := f.parse(args); err != nil {
		return err
	}
	return state.with(ctx, streams.Out, func(r *auth.Registry) (any, error) {
		revoked, err := r.RevokeGrant(ctx, *id)
		if err != nil {
			return nil, fmt.Errorf("grant revoke: %w", err)
		}
		return revoked, nil
	})
}

func keysRotate(ctx context.Context, args []string, streams Streams) error {
	f := newFlags(streams, "keys rotate", `publish a new signing key.

The key is in the key set at once and begins to sign after the delay, which must
be longer than verifiers keep the key set. The key before it stays published
until everything that it signed has expired. A running server notices by itself.`)
	state := f.state()
	delay := f.Duration("activate-in", auth.RotationDelay, "when the key begins to sign")
	if err := f.parse(args); err != nil {
		return err
	}
	return state.with(ctx, streams.Out, func(r *auth.Registry) (any, error) { return r.RotateKeys(ctx, *delay) })
}

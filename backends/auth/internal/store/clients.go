package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/database"
)

// Kind says how a client must behave.
type Kind string

// The two kinds of clients.
const (
	Standard Kind = "standard" // client_secret_basic, PAR, PKCE; bearer tokens allowed
	FAPI2    Kind = "fapi2"    // private_key_jwt, PAR, PKCE; DPoP-bound tokens only
)

// Client is a registered client.
type Client struct {
	ID           string
	Name         string
	Kind         Kind
	SecretHash   []byte // standard
	JWKS         string // fapi2: the public keys as JSON
	RedirectURIs []string
	Scopes       []string
	GrantTypes   []string
	CreatedAt    time.Time
}

// ErrClientExists is the answer to a second registration under the same id.
var ErrClientExists = errors.New("a client with this id is registered already")

// ErrOtherKind is the answer to a replacement that would change what the client must do.
var ErrOtherKind = errors.New("the client is registered as another kind")

// Replacement says whether a registered client makes way for one of the same id.
type Replacement int

// What may be replaced.
const (
	ReplaceNothing Replacement = iota
	ReplaceSameKind
	ReplaceAnyKind
)

const clientColumns = `id, name, kind, secret_hash, jwks, redirect_uris, scopes, grant_types, created_at`

// SaveClient registers a client, in place of another one if that may be replaced.
func (s *Store) SaveClient(ctx context.Context, c Client, replace Replacement) error {
	var jwks any
	if c.JWKS != "" {
		jwks = c.JWKS
	}
	err := s.db.InTx(ctx, func(tx *sql.Tx) error {
		if err := makeWay(ctx, tx, c, replace); err != nil {
			return err
		}
		// The lists hold no spaces: scopes, grant types and URIs cannot.
		_, err := tx.ExecContext(ctx, `INSERT INTO clients (`+clientColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			c.ID, c.Name, string(c.Kind), c.SecretHash, jwks, strings.Join(c.RedirectURIs, " "),
			strings.Join(c.Scopes, " "), strings.Join(c.GrantTypes, " "), c.CreatedAt.UnixMicro())
		return err
	})
	switch {
	case database.IsUnique(err):
		return ErrClientExists
	case errors.Is(err, ErrOtherKind):
		return err
	}
	return unavailable(err)
}

// makeWay removes what the client may replace.
func makeWay(ctx context.Context, tx *sql.Tx, c Client, replace Replacement) error {
	if replace == ReplaceNothing {
		return nil
	}
	var kind string
	err := tx.QueryRowContext(ctx, `DELETE FROM clients WHERE id = $1 RETURNING kind`, c.ID).Scan(&kind)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	case replace == ReplaceSameKind && Kind(kind) != c.Kind:
		return ErrOtherKind // the transaction is rolled back
	}
	return nil
}

// Client gives a client by its id; an unknown one is goidc.ErrNotFound.
func (s *Store) Client(ctx context.Context, id string) (Client, error) {
	var row clientRow
	if err := s.one(ctx, row.dest(), `SELECT `+clientColumns+` FROM clients WHERE id = $1`, id); err != nil {
		return Client{}, err
	}
	return row.client(), nil
}

// Clients gives all clients, by id.
func (s *Store) Clients(ctx context.Context) ([]Client, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT `+clientColumns+` FROM clients ORDER BY id`)
	if err != nil {
		return nil, unavailable(err)
	}
	defer func() { _ = rows.Close() }() // its error is that of Err below
	var clients []Client
	for rows.Next() {
		var row clientRow
		if err := rows.Scan(row.dest()...); err != nil {
			return nil, unavailable(err)
		}
		clients = append(clients, row.client())
	}
	return clients, unavailable(rows.Err())
}

// clientRow receives a row of clientColumns.
type clientRow struct {
	Client
	kind                            string
	jwks                            sql.NullString
	redirectURIs, scopes, grantType string
	createdAt                       int64
}

func (r *clientRow) dest() []any {
	return []any{&r.ID, &r.Name, &r.kind, &r.SecretHash, &r.jwks, &r.redirectURIs, &r.scopes, &r.grantType, &r.createdAt}
}

func (r *clientRow) client() Client {
	c := r.Client
	c.Kind = Kind(r.kind)
	c.JWKS = r.jwks.String
	c.RedirectURIs, c.Scopes, c.GrantTypes = strings.Fields(r.redirectURIs), strings.Fields(r.scopes), strings.Fields(r.grantType)
	c.CreatedAt = time.UnixMicro(r.createdAt)
	return c
}

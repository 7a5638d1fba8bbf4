package database

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// What PostgreSQL bounds of each session. A node that vanishes in the middle of a
// transaction, without a word that closes its connection, would else hold its row
// locks for as long as the kernel keeps the connection: two hours and more. A DSN
// that sets one of these has the last word.
var sessionBounds = map[string]string{
	"idle_in_transaction_session_timeout": "15s",
	"lock_timeout":                        "10s",
	"statement_timeout":                   "30s",
	"tcp_keepalives_idle":                 "30",
	"tcp_keepalives_interval":             "10",
	"tcp_keepalives_count":                "3",
}

// unlimitedStatements is for the work that may take long: migrations, and a check
// of all the books. It waits for locks no longer than the rest, since whatever
// comes behind one that waits for a table waits with it.
var unlimitedStatements = map[string]string{"statement_timeout": "0"}

func openPostgres(ctx context.Context, dsn, component string) (*DB, error) {
	serving, err := postgresConfig(dsn, component, sessionBounds)
	if err != nil {
		return nil, err
	}
	migrating, err := postgresConfig(dsn, component, unlimitedStatements, sessionBounds)
	if err != nil {
		return nil, err
	}
	if err := createSchema(ctx, migrating, component); err != nil {
		return nil, err
	}
	return connectPostgres(ctx, serving, migrating)
}

// postgresConfig reads the DSN. Of the settings the first one counts, and what
// the DSN itself sets before all.
func postgresConfig(dsn, component string, settings ...map[string]string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		// pgx redacts the password in its message.
		return nil, fmt.Errorf("database: %w", err)
	}
	for _, some := range settings {
		for name, value := range some {
			if _, set := cfg.RuntimeParams[name]; !set {
				cfg.RuntimeParams[name] = value
			}
		}
	}
	cfg.RuntimeParams["search_path"] = component
	cfg.RuntimeParams["application_name"] = "tollgate-" + component
	return cfg, nil
}

func connectPostgres(ctx context.Context, serving, migrating *pgx.ConnConfig) (*DB, error) {
	db := stdlib.OpenDB(*serving)
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("database %s: %w", serving.Host, err)
	}
	return &DB{times: newTimes(), DB: db, Dialect: Postgres, migrating: migrating}, nil
}

// createSchema makes the schema unless it is there. To ask first matters: CREATE
// SCHEMA IF NOT EXISTS wants the right to create schemas even when it would create
// none, and a service whose schema was made for it should not need that right.
func createSchema(ctx context.Context, cfg *pgx.ConnConfig, component string) error {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	name := pgx.Identifier{component}.Sanitize()
	var there bool
	if err := conn.QueryRow(ctx, "SELECT to_regnamespace($1) IS NOT NULL", name).Scan(&there); err != nil {
		return fmt.Errorf("database: looking for schema %s: %w", component, err)
	}
	if there {
		return nil
	}
	// Two instances that start together can both find the schema missing: the
	// loser of that race gets a unique violation, and the schema is there.
	if _, err := conn.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+name); err != nil && !IsUnique(err) {
		return fmt.Errorf("database: creating schema %s: %w", component, err)
	}
	return nil
}

-- +goose Up

-- username is what somebody signs in with; it never changes. email is an address
-- to write to; it may change, and it need not be unique: see profile.go.
CREATE TABLE users (
	id            TEXT PRIMARY KEY,
	username      TEXT NOT NULL UNIQUE,
	name          TEXT NOT NULL,
	email         TEXT NOT NULL,
	phone         TEXT,
	locale        TEXT NOT NULL,
	password_hash TEXT NOT NULL, -- PHC string of argon2id
	version       INTEGER NOT NULL DEFAULT 1,
	created_at    INTEGER NOT NULL,
	updated_at    INTEGER NOT NULL
) STRICT;

-- Wrong passwords in a row. subject is a user's id, or the hash of a name that
-- nobody has: unknown names lock just like known ones.
CREATE TABLE password_attempts (
	subject      TEXT PRIMARY KEY,
	failures     INTEGER NOT NULL,
	locked_until INTEGER NOT NULL,
	last_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX password_attempts_last_at ON password_attempts (last_at);

-- +goose Down
DROP TABLE password_attempts;
DROP TABLE users;

-- +goose Up

-- What is personal is sealed with a key of the user's own, which is sealed with the
-- master key. The service moves the rows of users_plain over when it starts: only
-- it has the keys.
ALTER TABLE users RENAME TO users_plain;

CREATE TABLE users (
	id             TEXT PRIMARY KEY,
	state          TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'closing', 'erased')),
	key            BLOB,        -- the user's key, sealed; destroyed with an erased user
	username_index BLOB UNIQUE, -- keyed hash of what somebody signs in with
	username       BLOB,
	name           BLOB,
	email          BLOB,
	phone          BLOB,
	locale         TEXT NOT NULL,
	password_hash  TEXT NOT NULL, -- PHC string of argon2id
	version        INTEGER NOT NULL DEFAULT 1,
	created_at     INTEGER NOT NULL,
	updated_at     INTEGER NOT NULL,
	CONSTRAINT erased_is_empty CHECK ((state = 'erased') = (key IS NULL) AND
		(state <> 'erased' OR (username_index IS NULL AND username IS NULL AND name IS NULL AND email IS NULL AND phone IS NULL)))
) STRICT;
CREATE INDEX users_closing ON users (id) WHERE state = 'closing';

-- Keys of the service itself, sealed with the master key.
CREATE TABLE service_keys (
	name TEXT PRIMARY KEY,
	key  BLOB NOT NULL
) STRICT;

-- Names of attempts were hashed without a key.
DELETE FROM password_attempts WHERE subject LIKE 'unknown:%';

-- +goose Down
DROP TABLE service_keys;
DROP TABLE users;
ALTER TABLE users_plain RENAME TO users;

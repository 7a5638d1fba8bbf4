-- +goose Up

-- What a client of one kind may do is not a matter of code alone: a fapi2 client
-- cannot have a secret, and a standard client cannot have keys.
CREATE TABLE clients (
    id            TEXT PRIMARY KEY,
    name          TEXT NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('standard', 'fapi2')),
    secret_hash   BLOB,
    jwks          TEXT,
    redirect_uris TEXT NOT NULL,
    scopes        TEXT NOT NULL,
    grant_types   TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    CHECK ((kind = 'standard' AND secret_hash IS NOT NULL AND jwks IS NULL)
        OR (kind = 'fapi2' AND secret_hash IS NULL AND jwks IS NOT NULL))
) STRICT;

-- A pushed authorization request and the interaction with the user behind it.
CREATE TABLE authorization_sessions (
    id           TEXT PRIMARY KEY,
    request_hash BLOB UNIQUE,
    client_id    TEXT NOT NULL,
    status       TEXT NOT NULL CHECK (status IN ('pending', 'success', 'failure')),
    rev          INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    data         TEXT NOT NULL
) STRICT;
CREATE INDEX authorization_sessions_expiry ON authorization_sessions (expires_at);

-- What was granted. Bearer values are hashed; the refresh token is made at
-- consent and handed out at redemption, so its value waits sealed until then.
CREATE TABLE grants (
    id                 TEXT PRIMARY KEY,
    client_id          TEXT NOT NULL,
    subject            TEXT NOT NULL,
    code_hash          BLOB UNIQUE,
    code_expires_at    INTEGER NOT NULL,
    code_consumed_at   INTEGER NOT NULL DEFAULT 0,
    refresh_hash       BLOB UNIQUE,
    refresh_sealed     BLOB,
    refresh_expires_at INTEGER NOT NULL,
    jkt                TEXT NOT NULL,
    revoked_at         INTEGER NOT NULL DEFAULT 0,
    created_at         INTEGER NOT NULL,
    used_at            INTEGER NOT NULL,
    expires_at         INTEGER NOT NULL,
    data               TEXT NOT NULL
) STRICT;
CREATE INDEX grants_expiry ON grants (expires_at);

-- The jti of each client assertion and DPoP proof, until it could not be replayed anyway.
CREATE TABLE jtis (
    hash       BLOB PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX jtis_expiry ON jtis (expires_at);

-- Who is signed in, in which browser.
CREATE TABLE login_sessions (
    hash       BLOB PRIMARY KEY,
    user_id    TEXT NOT NULL,
    username   TEXT NOT NULL,
    name       TEXT NOT NULL,
    auth_time  INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX login_sessions_expiry ON login_sessions (expires_at);

CREATE TABLE signing_keys (
    kid         TEXT PRIMARY KEY,
    sealed      BLOB NOT NULL,
    active_from INTEGER NOT NULL
) STRICT;

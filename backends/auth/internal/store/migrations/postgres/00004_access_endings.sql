-- +goose Up

-- Users whose logins and grants were ended, in the order in which they were. A sign-in that
-- began before is not to come after: it knows the last number of its beginning. A row is
-- kept for longer than a sign-in takes.
CREATE TABLE access_endings (
    number     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id    TEXT NOT NULL UNIQUE,
    expires_at BIGINT NOT NULL
);
CREATE INDEX access_endings_expiry ON access_endings (expires_at);

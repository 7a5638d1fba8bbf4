-- +goose Up

-- Clients manage their endpoints themselves. version is the entity tag.
ALTER TABLE webhook_endpoints ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
ALTER TABLE webhook_endpoints ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0;
UPDATE webhook_endpoints SET updated_at = created_at;

-- Secrets that were rotated out and still sign, until the receiver has the new one.
CREATE TABLE webhook_old_secrets (
	id          TEXT PRIMARY KEY,
	endpoint_id TEXT NOT NULL REFERENCES webhook_endpoints (id),
	secret      BYTEA NOT NULL, -- sealed with the service's key
	expires_at  BIGINT NOT NULL
);
CREATE INDEX webhook_old_secrets_endpoint ON webhook_old_secrets (endpoint_id);
CREATE INDEX webhook_old_secrets_expiry ON webhook_old_secrets (expires_at);

-- The place of an event in the feed. It is given after the commit: ids are made
-- before, so that in their order an event could turn up behind a reader's back.
ALTER TABLE events ADD COLUMN position BIGINT;
CREATE TABLE event_position (
	one  BIGINT PRIMARY KEY CHECK (one = 1),
	last BIGINT NOT NULL -- the highest position that was given
);
INSERT INTO event_position (one, last) VALUES (1, 0);
CREATE INDEX events_feed ON events (client_id, position);
CREATE INDEX events_unplaced ON events (id) WHERE position IS NULL;

-- +goose Down
DROP INDEX events_unplaced;
DROP INDEX events_feed;
DROP TABLE event_position;
ALTER TABLE events DROP COLUMN position;
DROP TABLE webhook_old_secrets;
ALTER TABLE webhook_endpoints DROP COLUMN updated_at;
ALTER TABLE webhook_endpoints DROP COLUMN version;

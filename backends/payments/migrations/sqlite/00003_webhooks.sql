-- +goose Up

-- Where a client wants to be told.
CREATE TABLE webhook_endpoints (
	id              TEXT PRIMARY KEY,
	client_id       TEXT NOT NULL,
	url             TEXT NOT NULL,
	secret          BLOB NOT NULL, -- sealed with the service's key
	paused_until    INTEGER NOT NULL DEFAULT 0, -- it asked for a rest (429, 503)
	disabled_at     INTEGER,
	disabled_reason TEXT NOT NULL DEFAULT '',
	created_at      INTEGER NOT NULL,
	UNIQUE (client_id, url)
) STRICT;

-- The outbox: what happened, in the words that are sent. The row commits with
-- what it tells of.
CREATE TABLE events (
	id         TEXT PRIMARY KEY, -- the webhook-id, the same at every try
	client_id  TEXT NOT NULL,
	type       TEXT NOT NULL,
	subject    TEXT NOT NULL, -- the id of the payment
	payload    BLOB NOT NULL,
	created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX events_client ON events (client_id, id);
CREATE INDEX events_subject ON events (subject, type);

-- One event on its way to one endpoint. due_at is also the lease: a worker that
-- takes a delivery moves it ahead, and one that dies leaves it to be due again.
CREATE TABLE webhook_deliveries (
	id           TEXT PRIMARY KEY,
	event_id     TEXT NOT NULL REFERENCES events (id),
	endpoint_id  TEXT NOT NULL REFERENCES webhook_endpoints (id),
	state        TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
	attempts     INTEGER NOT NULL DEFAULT 0,
	due_at       INTEGER NOT NULL,
	last_status  INTEGER NOT NULL DEFAULT 0,
	last_error   TEXT NOT NULL DEFAULT '',
	created_at   INTEGER NOT NULL,
	finished_at  INTEGER,
	UNIQUE (event_id, endpoint_id)
) STRICT;
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, due_at) WHERE state = 'pending';

-- +goose Down
DROP TABLE webhook_deliveries;
DROP TABLE events;
DROP TABLE webhook_endpoints;

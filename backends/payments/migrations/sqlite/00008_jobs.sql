-- +goose Up

-- Payments that wait for a worker. due_at is also the lease: a worker that takes a
-- job moves it ahead, and one that dies leaves it to be due again.
CREATE TABLE jobs (
	payment_id TEXT PRIMARY KEY REFERENCES payments (id),
	attempts   INTEGER NOT NULL DEFAULT 0,
	due_at     INTEGER NOT NULL,
	created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX jobs_due ON jobs (due_at);

-- +goose Down
DROP TABLE jobs;

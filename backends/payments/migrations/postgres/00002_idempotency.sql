-- +goose Up

-- What a request with an Idempotency-Key was answered. The row commits with what
-- the request did.
CREATE TABLE idempotency_keys (
	client_id   TEXT NOT NULL,
	method      TEXT NOT NULL,
	route       TEXT NOT NULL,
	idem_key    TEXT NOT NULL,
	fingerprint BYTEA NOT NULL,
	status      INTEGER NOT NULL,
	header      TEXT NOT NULL,
	body        BYTEA NOT NULL,
	created_at  BIGINT NOT NULL,
	PRIMARY KEY (client_id, method, route, idem_key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- +goose Down
DROP TABLE idempotency_keys;

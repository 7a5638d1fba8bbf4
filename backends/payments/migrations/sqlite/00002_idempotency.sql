-- +goose Up

-- What a request with an Idempotency-Key was answered. The row commits with what
-- the request did.
CREATE TABLE idempotency_keys (
	client_id   TEXT NOT NULL,
	method      TEXT NOT NULL,
	route       TEXT NOT NULL,
	idem_key    TEXT NOT NULL,
	fingerprint BLOB NOT NULL,
	status      INTEGER NOT NULL,
	header      TEXT NOT NULL,
	body        BLOB NOT NULL,
	created_at  INTEGER NOT NULL,
	PRIMARY KEY (client_id, method, route, idem_key)
) STRICT;
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- +goose Down
DROP TABLE idempotency_keys;

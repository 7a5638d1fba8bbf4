-- +goose Up

-- When an account was closed. It is empty then, and stays so: nothing is moved to or
-- from it any more.
ALTER TABLE accounts ADD COLUMN closed_at BIGINT CONSTRAINT closed_is_empty CHECK (closed_at IS NULL OR
	kind = 'wallet' AND credits_posted = debits_posted AND debits_pending = 0 AND credits_pending = 0);

-- Refunds that came to nothing. Those that moved money are transfers.
CREATE TABLE rejected_refunds (
	id          TEXT PRIMARY KEY,
	payment_id  TEXT NOT NULL REFERENCES payments (id),
	amount      BIGINT NOT NULL CHECK (amount > 0),
	reason_code TEXT NOT NULL,
	created_at  BIGINT NOT NULL
);
CREATE INDEX rejected_refunds_payment ON rejected_refunds (payment_id, id);

-- +goose Down
DROP TABLE rejected_refunds;
ALTER TABLE accounts DROP COLUMN closed_at;

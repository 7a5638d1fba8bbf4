-- +goose Up

-- A payment is captured at once, or held and captured in parts later.
ALTER TABLE payments ADD COLUMN capture_method TEXT NOT NULL DEFAULT 'automatic'
	CHECK (capture_method IN ('automatic', 'manual'));
CREATE INDEX payments_hold_expiry ON payments (expires_at) WHERE status IN ('requires_capture', 'in_review');
CREATE INDEX payments_created ON payments (client_id, created_at);

-- A post or void ends part of a hold between the same accounts, and no more of it
-- than is left. Who posts holds the row of the wallet, so that no other post is
-- under way between this look and the commit.
-- +goose StatementBegin
CREATE FUNCTION transfers_end_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NOT EXISTS (SELECT 1 FROM transfers h WHERE h.id = NEW.pending_id AND h.kind = 'pending'
		AND h.debit_account = NEW.debit_account AND h.credit_account = NEW.credit_account
		AND h.currency = NEW.currency AND h.payment_id IS NOT DISTINCT FROM NEW.payment_id
		AND h.amount >= NEW.amount + COALESCE((SELECT SUM(e.amount) FROM transfers e WHERE e.pending_id = h.id), 0)) THEN
		RAISE EXCEPTION 'a post or void ends no more than is left of a hold';
	END IF;
	RETURN NEW;
END;
$$;
-- +goose StatementEnd
CREATE TRIGGER transfers_hold BEFORE INSERT ON transfers FOR EACH ROW
	WHEN (NEW.kind IN ('post', 'void')) EXECUTE FUNCTION transfers_end_hold();

-- What transfers mean for accounts whose row no payment may update: entries that
-- wait to be folded into the row. The balance is the row and these entries.
-- They come and go with transfers and folding, so the keys of transfers are theirs.
CREATE TABLE unfolded (
	account         TEXT NOT NULL,
	transfer_id     TEXT NOT NULL,
	debits_pending  BIGINT NOT NULL,
	debits_posted   BIGINT NOT NULL,
	credits_pending BIGINT NOT NULL,
	credits_posted  BIGINT NOT NULL,
	PRIMARY KEY (account, transfer_id)
);
-- There are no holds yet: every transfer is direct.
UPDATE accounts SET
	debits_posted = COALESCE((SELECT SUM(amount) FROM transfers WHERE debit_account = accounts.id), 0),
	credits_posted = COALESCE((SELECT SUM(amount) FROM transfers WHERE credit_account = accounts.id), 0)
WHERE kind <> 'wallet';

-- +goose Down
UPDATE accounts SET debits_posted = 0, credits_posted = 0 WHERE kind <> 'wallet';
DROP TABLE unfolded;
DROP TRIGGER transfers_hold ON transfers;
DROP FUNCTION transfers_end_hold();
DROP INDEX payments_created;
DROP INDEX payments_hold_expiry;
ALTER TABLE payments DROP COLUMN capture_method;

-- +goose Up
-- STRICT: a column keeps its type, so that an overflow is an error and never a float.

-- Who holds money. A wallet carries running balances, guarded by the CHECK below.
-- A merchant's or external account is named by every payment or deposit: its row
-- is never updated, and its balance is the sum of its transfers. A shared row
-- that each payment updates would be the bottleneck of the whole ledger.
CREATE TABLE accounts (
	id              TEXT PRIMARY KEY,
	kind            TEXT NOT NULL CHECK (kind IN ('wallet', 'merchant', 'external')),
	owner           TEXT NOT NULL, -- user id, client id, or '' for external
	name            TEXT NOT NULL,
	currency        TEXT NOT NULL CHECK (length(currency) = 3),
	debits_pending  INTEGER NOT NULL DEFAULT 0 CHECK (debits_pending >= 0),
	debits_posted   INTEGER NOT NULL DEFAULT 0 CHECK (debits_posted >= 0),
	credits_pending INTEGER NOT NULL DEFAULT 0 CHECK (credits_pending >= 0),
	credits_posted  INTEGER NOT NULL DEFAULT 0 CHECK (credits_posted >= 0),
	version         INTEGER NOT NULL DEFAULT 1,
	created_at      INTEGER NOT NULL,
	UNIQUE (id, currency), -- for the foreign keys of transfers
	CONSTRAINT wallet_not_below_zero CHECK (kind <> 'wallet' OR credits_posted - debits_posted - debits_pending >= 0)
) STRICT;
CREATE UNIQUE INDEX accounts_wallet ON accounts (owner, name) WHERE kind = 'wallet';
CREATE UNIQUE INDEX accounts_merchant ON accounts (owner, currency) WHERE kind = 'merchant';
CREATE UNIQUE INDEX accounts_external ON accounts (currency) WHERE kind = 'external';
CREATE INDEX accounts_owner ON accounts (kind, owner, id);

CREATE TABLE payments (
	id               TEXT PRIMARY KEY,
	client_id        TEXT NOT NULL,
	creditor_account TEXT NOT NULL,
	creditor_name    TEXT NOT NULL, -- as the payer was shown it
	payer            TEXT,          -- user id, once confirmed
	debtor_account   TEXT,          -- once confirmed
	amount           INTEGER NOT NULL CHECK (amount > 0),
	currency         TEXT NOT NULL,
	authorised       INTEGER NOT NULL DEFAULT 0,
	captured         INTEGER NOT NULL DEFAULT 0,
	refunded         INTEGER NOT NULL DEFAULT 0 CHECK (refunded >= 0),
	status           TEXT NOT NULL CHECK (status IN ('requires_consent', 'processing', 'in_review',
		'requires_capture', 'succeeded', 'rejected', 'canceled', 'expired')),
	reason_code      TEXT NOT NULL DEFAULT '',
	description      TEXT NOT NULL DEFAULT '',
	end_to_end_id    TEXT,
	metadata         TEXT NOT NULL DEFAULT '{}',
	version          INTEGER NOT NULL DEFAULT 1,
	created_at       INTEGER NOT NULL,
	updated_at       INTEGER NOT NULL,
	expires_at       INTEGER NOT NULL,
	CONSTRAINT payment_sums CHECK (refunded <= captured AND captured <= authorised AND authorised <= amount),
	CONSTRAINT payment_has_debtor CHECK ((payer IS NULL) = (debtor_account IS NULL)),
	UNIQUE (client_id, end_to_end_id),
	FOREIGN KEY (creditor_account, currency) REFERENCES accounts (id, currency),
	FOREIGN KEY (debtor_account, currency) REFERENCES accounts (id, currency)
) STRICT;
CREATE INDEX payments_client ON payments (client_id, id);
CREATE INDEX payments_payer ON payments (payer, id);
CREATE INDEX payments_expiry ON payments (expires_at) WHERE status = 'requires_consent';

-- The ledger: both accounts of a movement in one row, so that no half of it can exist.
CREATE TABLE transfers (
	id             TEXT PRIMARY KEY,
	kind           TEXT NOT NULL CHECK (kind IN ('direct', 'pending', 'post', 'void')),
	pending_id     TEXT REFERENCES transfers (id), -- the hold that a post or void ends
	debit_account  TEXT NOT NULL,
	credit_account TEXT NOT NULL,
	amount         INTEGER NOT NULL CHECK (amount > 0),
	currency       TEXT NOT NULL,
	purpose        TEXT NOT NULL CHECK (purpose IN ('deposit', 'payment', 'refund')),
	payment_id     TEXT REFERENCES payments (id),
	created_at     INTEGER NOT NULL,
	CONSTRAINT transfer_between_two CHECK (debit_account <> credit_account),
	CONSTRAINT transfer_ends_hold CHECK ((kind IN ('post', 'void')) = (pending_id IS NOT NULL)),
	CONSTRAINT transfer_of_payment CHECK ((purpose = 'deposit') = (payment_id IS NULL)),
	-- One currency on both sides.
	FOREIGN KEY (debit_account, currency) REFERENCES accounts (id, currency),
	FOREIGN KEY (credit_account, currency) REFERENCES accounts (id, currency)
) STRICT;
CREATE INDEX transfers_debit ON transfers (debit_account, id);
CREATE INDEX transfers_credit ON transfers (credit_account, id);
CREATE INDEX transfers_payment ON transfers (payment_id) WHERE payment_id IS NOT NULL;
CREATE INDEX transfers_pending ON transfers (pending_id) WHERE pending_id IS NOT NULL;
-- The last guard against paying twice: a payment moves its money once, as one
-- direct transfer or as one hold.
CREATE UNIQUE INDEX transfers_once ON transfers (payment_id)
	WHERE purpose = 'payment' AND kind IN ('direct', 'pending');

-- +goose StatementBegin
CREATE TRIGGER transfers_no_update BEFORE UPDATE ON transfers
BEGIN
	SELECT RAISE(ABORT, 'transfers are append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER transfers_no_delete BEFORE DELETE ON transfers
BEGIN
	SELECT RAISE(ABORT, 'transfers are append-only');
END;
-- +goose StatementEnd

-- A consent that was used: one payment, one token, and what the user agreed to.
CREATE TABLE consents (
	payment_id       TEXT PRIMARY KEY REFERENCES payments (id),
	token_id         TEXT NOT NULL UNIQUE, -- the jti of the token that carried it
	client_id        TEXT NOT NULL,
	user_id          TEXT NOT NULL,
	debtor_account   TEXT NOT NULL REFERENCES accounts (id),
	creditor_account TEXT NOT NULL REFERENCES accounts (id),
	amount           INTEGER NOT NULL CHECK (amount > 0),
	currency         TEXT NOT NULL,
	used_at          INTEGER NOT NULL
) STRICT;

-- +goose Down
DROP TABLE consents;
DROP TABLE transfers;
DROP TABLE payments;
DROP TABLE accounts;

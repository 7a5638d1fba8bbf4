-- +goose Up

-- The thresholds of the fixed rules. JSON: by currency for rules on amounts, under
-- "count" for rules on how often.
CREATE TABLE risk_rules (
	id         TEXT PRIMARY KEY,
	enabled    INTEGER NOT NULL CHECK (enabled IN (0, 1)),
	thresholds TEXT NOT NULL,
	version    INTEGER NOT NULL DEFAULT 1,
	updated_at INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO risk_rules (id, enabled, thresholds) VALUES
	('payment_amount', TRUE, '{"EUR":{"step_up":500000,"review":2500000}}'),
	('new_payee', TRUE, '{"EUR":{"step_up":300000}}'),
	('user_amount_24h', TRUE, '{"EUR":{"step_up":1000000,"review":5000000}}'),
	('client_amount_24h', FALSE, '{}'),
	('user_count_1h', TRUE, '{"count":{"step_up":30,"review":100}}'),
	('user_count_24h', TRUE, '{"count":{"step_up":100,"review":300}}'),
	('client_count_1h', FALSE, '{}'),
	('client_count_24h', FALSE, '{}'),
	('payee_count_1h', FALSE, '{}'),
	('payee_count_24h', FALSE, '{}');

-- Who is refused in any case, and whom the rules on them let pass.
CREATE TABLE risk_lists (
	id         TEXT PRIMARY KEY,
	list       TEXT NOT NULL CHECK (list IN ('allow', 'deny')),
	subject    TEXT NOT NULL CHECK (subject IN ('user', 'client', 'payee')),
	value      TEXT NOT NULL,
	note       TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	UNIQUE (subject, value)
) STRICT;

-- What was decided of a payment, by which rules, and from what.
CREATE TABLE risk_decisions (
	id         TEXT PRIMARY KEY,
	payment_id TEXT NOT NULL,
	outcome    TEXT NOT NULL CHECK (outcome IN ('allow', 'step_up', 'review', 'deny')),
	findings   TEXT NOT NULL,
	inputs     TEXT NOT NULL,
	created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX risk_decisions_payment ON risk_decisions (payment_id, id);

-- What officers have changed and decided.
CREATE TABLE risk_changes (
	id         TEXT PRIMARY KEY,
	actor      TEXT NOT NULL,
	action     TEXT NOT NULL,
	object     TEXT NOT NULL,
	was        TEXT NOT NULL,
	became     TEXT NOT NULL,
	created_at INTEGER NOT NULL
) STRICT;

-- +goose StatementBegin
CREATE TRIGGER risk_decisions_no_update BEFORE UPDATE ON risk_decisions
BEGIN
	SELECT RAISE(ABORT, 'risk_decisions are append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER risk_decisions_no_delete BEFORE DELETE ON risk_decisions
BEGIN
	SELECT RAISE(ABORT, 'risk_decisions are append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER risk_changes_no_update BEFORE UPDATE ON risk_changes
BEGIN
	SELECT RAISE(ABORT, 'risk_changes are append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER risk_changes_no_delete BEFORE DELETE ON risk_changes
BEGIN
	SELECT RAISE(ABORT, 'risk_changes are append-only');
END;
-- +goose StatementEnd

-- The rules look at what was consented to lately.
CREATE INDEX consents_user ON consents (user_id, used_at);
CREATE INDEX consents_client ON consents (client_id, used_at);
CREATE INDEX consents_payee ON consents (creditor_account, used_at);
CREATE INDEX consents_pair ON consents (user_id, creditor_account);

-- The queue of officers.
CREATE INDEX payments_in_review ON payments (id) WHERE status = 'in_review';

-- +goose Down
DROP INDEX payments_in_review;
DROP INDEX consents_pair;
DROP INDEX consents_payee;
DROP INDEX consents_client;
DROP INDEX consents_user;
DROP TABLE risk_changes;
DROP TABLE risk_decisions;
DROP TABLE risk_lists;
DROP TABLE risk_rules;

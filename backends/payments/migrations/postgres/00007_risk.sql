-- +goose Up

-- The thresholds of the fixed rules. JSON: by currency for rules on amounts, under
-- "count" for rules on how often.
CREATE TABLE risk_rules (
	id         TEXT PRIMARY KEY,
	enabled    BOOLEAN NOT NULL,
	thresholds TEXT NOT NULL,
	version    BIGINT NOT NULL DEFAULT 1,
	updated_at BIGINT NOT NULL DEFAULT 0
);
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
	created_at BIGINT NOT NULL,
	UNIQUE (subject, value)
);

-- What was decided of a payment, by which rules, and from what.
CREATE TABLE risk_decisions (
	id         TEXT PRIMARY KEY,
	payment_id TEXT NOT NULL,
	outcome    TEXT NOT NULL CHECK (outcome IN ('allow', 'step_up', 'review', 'deny')),
	findings   TEXT NOT NULL,
	inputs     TEXT NOT NULL,
	created_at BIGINT NOT NULL
);
CREATE INDEX risk_decisions_payment ON risk_decisions (payment_id, id);

-- What officers have changed and decided.
CREATE TABLE risk_changes (
	id         TEXT PRIMARY KEY,
	actor      TEXT NOT NULL,
	action     TEXT NOT NULL,
	object     TEXT NOT NULL,
	was        TEXT NOT NULL,
	became     TEXT NOT NULL,
	created_at BIGINT NOT NULL
);

-- +goose StatementBegin
CREATE FUNCTION risk_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION '% are append-only', TG_TABLE_NAME;
END;
$$;
-- +goose StatementEnd
CREATE TRIGGER risk_decisions_no_update BEFORE UPDATE OR DELETE ON risk_decisions FOR EACH ROW EXECUTE FUNCTION risk_refuse();
CREATE TRIGGER risk_decisions_no_truncate BEFORE TRUNCATE ON risk_decisions FOR EACH STATEMENT EXECUTE FUNCTION risk_refuse();
CREATE TRIGGER risk_changes_no_update BEFORE UPDATE OR DELETE ON risk_changes FOR EACH ROW EXECUTE FUNCTION risk_refuse();
CREATE TRIGGER risk_changes_no_truncate BEFORE TRUNCATE ON risk_changes FOR EACH STATEMENT EXECUTE FUNCTION risk_refuse();

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
DROP FUNCTION risk_refuse();
DROP TABLE risk_lists;
DROP TABLE risk_rules;

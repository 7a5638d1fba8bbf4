-- +goose Up

-- Decisions are kept for a time that the operator sets. Nobody deletes one that is
-- younger than 90 days, by the clock of the database.
DROP TRIGGER risk_decisions_no_delete;
-- +goose StatementBegin
CREATE TRIGGER risk_decisions_no_delete BEFORE DELETE ON risk_decisions
WHEN OLD.created_at > (CAST(strftime('%s', 'now') AS INTEGER) - 90 * 86400) * 1000000
BEGIN
	SELECT RAISE(ABORT, 'risk_decisions are append-only for 90 days');
END;
-- +goose StatementEnd
CREATE INDEX risk_decisions_age ON risk_decisions (created_at);

-- +goose Down
DROP INDEX risk_decisions_age;
DROP TRIGGER risk_decisions_no_delete;
-- +goose StatementBegin
CREATE TRIGGER risk_decisions_no_delete BEFORE DELETE ON risk_decisions
BEGIN
	SELECT RAISE(ABORT, 'risk_decisions are append-only');
END;
-- +goose StatementEnd

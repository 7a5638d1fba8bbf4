-- +goose Up

-- Decisions are kept for a time that the operator sets. Nobody deletes one that is
-- younger than 90 days, by the clock of the database.
DROP TRIGGER risk_decisions_no_update ON risk_decisions;
CREATE TRIGGER risk_decisions_no_update BEFORE UPDATE ON risk_decisions FOR EACH ROW EXECUTE FUNCTION risk_refuse();
-- +goose StatementBegin
CREATE FUNCTION risk_refuse_young() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF OLD.created_at > (extract(epoch FROM now())::bigint - 90 * 86400) * 1000000 THEN
		RAISE EXCEPTION '% are append-only for 90 days', TG_TABLE_NAME;
	END IF;
	RETURN OLD;
END;
$$;
-- +goose StatementEnd
CREATE TRIGGER risk_decisions_no_delete BEFORE DELETE ON risk_decisions FOR EACH ROW EXECUTE FUNCTION risk_refuse_young();
CREATE INDEX risk_decisions_age ON risk_decisions (created_at);

-- +goose Down
DROP INDEX risk_decisions_age;
DROP TRIGGER risk_decisions_no_delete ON risk_decisions;
DROP FUNCTION risk_refuse_young();
DROP TRIGGER risk_decisions_no_update ON risk_decisions;
CREATE TRIGGER risk_decisions_no_update BEFORE UPDATE OR DELETE ON risk_decisions FOR EACH ROW EXECUTE FUNCTION risk_refuse();

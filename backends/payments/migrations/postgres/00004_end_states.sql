-- +goose Up

-- A payment that has come to an end stays there, whatever a service does.
-- +goose StatementBegin
CREATE FUNCTION payments_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'a payment does not leave its end state';
END;
$$;
-- +goose StatementEnd
CREATE TRIGGER payments_end BEFORE UPDATE ON payments FOR EACH ROW
	WHEN (OLD.status IN ('succeeded', 'rejected', 'canceled', 'expired') AND NEW.status <> OLD.status)
	EXECUTE FUNCTION payments_refuse();

-- +goose Down
DROP TRIGGER payments_end ON payments;
DROP FUNCTION payments_refuse();

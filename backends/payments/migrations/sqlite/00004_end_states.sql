-- +goose Up

-- A payment that has come to an end stays there, whatever a service does.
-- +goose StatementBegin
CREATE TRIGGER payments_end BEFORE UPDATE ON payments
WHEN OLD.status IN ('succeeded', 'rejected', 'canceled', 'expired') AND NEW.status <> OLD.status
BEGIN
	SELECT RAISE(ABORT, 'a payment does not leave its end state');
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER payments_end;

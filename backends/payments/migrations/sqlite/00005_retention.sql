-- +goose Up

-- What is kept for a time only is found by its age.
CREATE INDEX events_age ON events (created_at);
CREATE INDEX payments_expired ON payments (updated_at) WHERE status = 'expired';

-- +goose Down
DROP INDEX payments_expired;
DROP INDEX events_age;

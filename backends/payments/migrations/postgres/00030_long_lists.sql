-- +goose Up

-- What a client asks for by its state is found without going through all of its
-- payments; nearly all have succeeded, and those are found without an index.
CREATE INDEX payments_not_succeeded ON payments (client_id, status, id) WHERE status <> 'succeeded';

-- And events by their type. That they are a client's by their ids is asked no more:
-- the feed goes by position.
CREATE INDEX events_feed_type ON events (client_id, type, position);
DROP INDEX events_client;

-- An endpoint is removed with all its deliveries, not only those that wait.
CREATE INDEX webhook_deliveries_endpoint ON webhook_deliveries (endpoint_id, state, due_at);
DROP INDEX webhook_deliveries_due;

-- +goose Down
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, due_at) WHERE state = 'pending';
DROP INDEX webhook_deliveries_endpoint;
CREATE INDEX events_client ON events (client_id, id);
DROP INDEX events_feed_type;
DROP INDEX payments_not_succeeded;

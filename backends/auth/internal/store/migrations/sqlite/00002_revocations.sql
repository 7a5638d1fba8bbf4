-- +goose Up

-- When the revocation of the grant was handed to the edges; zero: not yet. The row
-- that is revoked is the row that waits: no crash comes between the two.
ALTER TABLE grants ADD COLUMN published_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX grants_unpublished ON grants (revoked_at) WHERE revoked_at <> 0 AND published_at = 0;
CREATE INDEX grants_published ON grants (published_at) WHERE published_at <> 0;
CREATE INDEX grants_subject ON grants (subject, created_at);

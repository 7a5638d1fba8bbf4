-- +goose Up

-- Users whose password was changed, and whose apps and browsers are to lose access: until
-- the authorization server has done it.
CREATE TABLE access_endings (
	user_id TEXT PRIMARY KEY,
	since   INTEGER NOT NULL
) STRICT;

-- +goose Down
DROP TABLE access_endings;

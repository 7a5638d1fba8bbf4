-- +goose Up

-- Users whose accounts were closed for good, those who never had one too: nobody opens any
-- for them after that.
CREATE TABLE closed_owners (
	owner     TEXT PRIMARY KEY,
	closed_at INTEGER NOT NULL
) STRICT;
INSERT INTO closed_owners (owner, closed_at)
	SELECT owner, MIN(closed_at) FROM accounts WHERE kind = 'wallet' AND closed_at IS NOT NULL GROUP BY owner;

-- +goose Down
DROP TABLE closed_owners;

-- +goose Up
CREATE TABLE wallet (id TEXT PRIMARY KEY, balance BIGINT NOT NULL CHECK (balance >= 0));
INSERT INTO wallet (id, balance) VALUES ('a', 0);

-- +goose Down
DROP TABLE wallet;

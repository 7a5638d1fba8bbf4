-- +goose Up

-- All logins of a user end at once when everything that the user has granted does.
CREATE INDEX login_sessions_user ON login_sessions (user_id);

package store

import "context"

// batch bounds one delete, so that cleaning up never holds the writer for long.
const batch = 500

// tables are those whose rows end, with the key that a batch is chosen by.
var tables = []struct{ name, key string }{
	{"access_endings", "number"},
	{"authorization_sessions", "id"},
	{"grants", "id"},
	{"jtis", "hash"},
	{"login_sessions", "hash"},
}

// DeleteExpired removes the rows whose time is over. Each token request leaves a
// row or two, so this has to run for as long as the server does.
func (s *Store) DeleteExpired(ctx context.Context) (deleted int64, err error) {
	for _, table := range tables {
		for {
			n, err := s.write(ctx, `DELETE FROM `+table.name+` WHERE `+table.key+` IN (
				SELECT `+table.key+` FROM `+table.name+` WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`,
				s.now().UnixMicro(), batch)
			if err != nil {
				return deleted, unavailable(err)
			}
			deleted += n
			if n < batch {
				break
			}
		}
	}
	return deleted, nil
}

package command

import (
	"fmt"
	"strings"

	"github.com/open-tollgate/tollgate/backends/internal/database"
)

// KeyFile gives the file of a service's master key: the one that is named, or the
// one beside an SQLite file. Instances that share a PostgreSQL need one key: were
// its place guessed, each machine would make a key of its own there.
func KeyFile(program, named, dsn string) (string, error) {
	if named != "" {
		return named, nil
	}
	if database.DialectOf(dsn) == database.Postgres {
		return "", fmt.Errorf("--secret-file (%s) is missing: with PostgreSQL there is no database file "+
			"to keep the master key beside; name a file, made when missing, and give every instance a copy of the same one",
			variable(program, "secret-file"))
	}
	return strings.TrimSuffix(strings.TrimPrefix(dsn, "sqlite:"), ".db") + ".key", nil
}

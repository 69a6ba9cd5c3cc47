package projection_test

import (
	"testing"

	"github.com/annals-db/annals/internal/pgserver"
	"github.com/jackc/pgx/v5"
)

// pgConfig is how to connect to a new database.
func pgConfig(t testing.TB) *pgx.ConnConfig {
	t.Helper()
	config, err := pgx.ParseConfig(pgserver.Shared(t).NewDatabase(t))
	must(t, err)
	return config
}

package audit

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// settings make the text form of a value always the same; see the package comment.
var settings = map[string]string{
	"datestyle": "ISO, MDY", "timezone": "UTC", "intervalstyle": "postgres", "extra_float_digits": "3",
	"bytea_output": "hex", "lc_monetary": "C", "search_path": "pg_catalog", "row_security": "off", "client_encoding": "UTF8",
	"xmloption": "content", "quote_all_identifiers": "off",
}

// unhurried are the settings of a connection that reads whole tables or waits:
// limits that the database has for its applications are not for it.
var unhurried = map[string]string{"statement_timeout": "0", "idle_in_transaction_session_timeout": "0"}

// patience is how long a server may take to be reached.
const patience = 15 * time.Second

// connect opens an ordinary connection with the settings that fix text forms.
func connect(ctx context.Context, url string) (*pgx.Conn, error) {
	return connectWith(ctx, url, unhurried)
}

// connectWith opens one with more settings.
func connectWith(ctx context.Context, url string, more map[string]string) (*pgx.Conn, error) {
	c, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("the URL of the database: %w", err)
	}
	prepare(&c.Config)
	maps.Copy(c.RuntimeParams, more)
	c.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return pgx.ConnectConfig(ctx, c)
}

// replicate opens a connection that speaks the replication protocol.
func replicate(ctx context.Context, url string) (*pgconn.PgConn, error) {
	c, err := pgconn.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("the URL of the database: %w", err)
	}
	prepare(c)
	c.RuntimeParams["replication"] = "database"
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return pgconn.ConnectConfig(ctx, c)
}

func prepare(c *pgconn.Config) {
	for name, v := range settings {
		c.RuntimeParams[name] = v
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "annals audit"
	}
}

// shut closes a connection without waiting long for a server that does not answer.
func shut(c interface{ Close(context.Context) error }) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Close(ctx)
}

package pgserver

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A process that is killed closes its end of the leash.
func TestServerEndsWhenItsLeashIsClosed(t *testing.T) {
	s := ForTest(t, nil)
	if err := s.leash.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.ended:
	case <-time.After(patience):
		t.Fatal("the server goes on")
	}
	if c, err := pgx.Connect(context.Background(), s.URL("postgres")); err == nil {
		_ = c.Close(context.Background())
		t.Error("the server still answers")
	}
}

package replica_test

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/annals-db/annals/internal/natscluster"
	"github.com/annals-db/annals/replica"
)

// lines keeps what is logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// A stream that was just made has no leader for a moment, and the servers that
// keep it are not all named until it has.
func TestNodesThatMakeALogAtOnceVerifyEveryServer(t *testing.T) {
	c := one(t, natscluster.Options{Servers: 3})
	var logged lines
	for round := range 3 {
		var wg sync.WaitGroup
		for n := range 4 {
			dir := t.TempDir()
			wg.Go(func() {
				s, err := replica.Open(ctx, c.URL(), dir, &replica.Options{Name: fmt.Sprintf("log%d", round), Node: fmt.Sprintf("node%d", n),
					System: c.System(), Logger: slog.New(slog.NewTextHandler(&logged, nil))})
				if err != nil {
					t.Error(err)
					return
				}
				s.Close()
			})
		}
		wg.Wait()
	}
	if strings.Contains(logged.text.String(), "do not answer") {
		t.Errorf("servers were not asked:\n%s", logged.text.String())
	}
}

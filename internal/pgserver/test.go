package pgserver

import (
	"context"
	"sync"
)

// TB is what is needed of a *testing.T or *testing.B.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// ForTest starts a server for one test, which it fails where there is none.
func ForTest(t TB, o *Options) *Server {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stop PostgreSQL: %v", err)
		}
	})
	return s
}

var shared struct {
	sync.Mutex
	server *Server
}

// Shared returns the server that the tests of one process share; it is started
// by the first. TestMain stops it at the end by [StopShared].
func Shared(t TB) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		s, err := Start(nil)
		if err != nil {
			t.Fatalf("%v", err)
			return nil
		}
		shared.server = s
	}
	return shared.server
}

// StopShared stops the shared server, if there is one.
func StopShared() {
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		_ = shared.server.Stop() // the process ends, and the server with it
		shared.server = nil
	}
}

// NewDatabase makes a new database for a test and returns its URL.
func (s *Server) NewDatabase(t TB) string {
	t.Helper()
	url, err := s.Create(context.Background())
	if err != nil {
		t.Fatalf("create a database: %v", err)
	}
	return url
}

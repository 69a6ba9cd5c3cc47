package collab

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
)

// deaf is a log as a process has it that does not hear of others' appends.
type deaf struct{ driver.Log }

func (deaf) Wait(ctx context.Context, _ driver.Position) (driver.Position, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func TestAChangeThatAnotherServerHasAcceptedIsFoundThere(t *testing.T) {
	log := memstore.New(nil)
	defer log.Close()
	here := newSite(t, deaf{log}, nil).doc()
	p := Proposal{Author: "ada", Client: "window", Seq: 1, Change: Change{{Insert: "b"}}}
	_, err := here.Submit(t.Context(), p)
	ok(t, err)
	there := newSite(t, log, nil).doc()
	submit(t, there, "bob", Change{{Keep: 1}, {Insert: "c"}})
	p.Seq, p.Base, p.Change = 2, 1, Change{{Insert: "a"}}
	accepted, err := there.Submit(t.Context(), p)
	ok(t, err)
	again, err := here.Submit(t.Context(), p) // the answer was lost, and the editor is connected here now
	ok(t, err)
	if accepted.Version != 3 || again.Version != 3 {
		t.Errorf("it is version %d, and again %d", accepted.Version, again.Version)
	}
	submit(t, here, "bob", Change{{Insert: "!"}})
	now, version := here.Text()
	s, err := there.replay(t.Context(), version)
	ok(t, err)
	if version != 4 || now.String() != s.text.String() {
		t.Errorf("version %d is %q, and %q in the log", version, now, s.text)
	}
}

func TestAnEditorThatComesFromAnotherServerIsNotAheadOfTheText(t *testing.T) {
	log := memstore.New(nil)
	defer log.Close()
	behind := newSite(t, deaf{log}, nil)
	here := behind.doc()
	there := newSite(t, log, nil).doc()
	submit(t, there, "ada", Change{{Insert: "ab"}})
	got := behind.stranger(`{"type":"hello","units":"code-points","client":"window","since":1}`, `{"type":"edit","seq":1,"base":1,"change":[2,"c"]}`, `{"type":"no more"}`)
	if now, version := here.Text(); version != 2 || now.String() != "abc" || !strings.Contains(got, "unknown type") {
		t.Errorf("version %d is %q; the editor was told %s", version, now, got)
	}
	submit(t, there, "ada", Change{{Insert: "!"}})
	_, err := here.Submit(t.Context(), Proposal{Author: "eve", Base: 3, Change: Change{{Insert: "?"}}})
	ok(t, err)
	var refused *RefusedError
	if _, err := here.Submit(t.Context(), Proposal{Author: "eve", Base: 5}); !errors.As(err, &refused) {
		t.Errorf("a base that there is nowhere: %v", err)
	}
}

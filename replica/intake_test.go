package replica

import (
	"errors"
	"testing"

	"github.com/annals-db/annals/driver"
)

func TestARequestIsTakenOnlyInItsTurn(t *testing.T) {
	body := appendBatch(nil, &driver.Batch{Events: []driver.Event{goldenRecord(1).Event}})
	ask := func(epoch, session, number uint64) forward {
		return forward{node: nodeID{1}, epoch: epoch, session: session, number: number, parts: 1, body: body}
	}
	part := func(f forward, n, of uint32) forward {
		f.part, f.parts = n, of
		f.body = body[len(body)*int(n)/int(of) : len(body)*int(n+1)/int(of)]
		return f
	}
	for _, c := range []struct {
		name  string
		asked []forward
		want  string // of each: t taken, m more is to come, - refused
	}{
		{"in order", []forward{ask(7, 1, 1), ask(7, 1, 2), ask(7, 1, 3)}, "ttt"},
		{"twice", []forward{ask(7, 1, 1), ask(7, 1, 1), ask(7, 1, 2)}, "t-t"},
		{"one is lost", []forward{ask(7, 1, 1), ask(7, 1, 3), ask(7, 1, 4), ask(7, 1, 2)}, "t---"},
		{"the first is lost", []forward{ask(7, 1, 2), ask(7, 1, 3)}, "--"},
		{"late, after a new session", []forward{ask(7, 1, 1), ask(7, 2, 1), ask(7, 1, 2), ask(7, 2, 2)}, "tt-t"},
		{"late, after a new epoch", []forward{ask(7, 5, 1), ask(9, 1, 1), ask(7, 5, 2), ask(9, 1, 2)}, "tt-t"},
		{"in parts", []forward{part(ask(7, 1, 1), 0, 2), part(ask(7, 1, 2), 1, 2), ask(7, 1, 3)}, "mtt"},
		{"a part is lost", []forward{part(ask(7, 1, 1), 0, 3), part(ask(7, 1, 3), 2, 3), ask(7, 1, 4)}, "m--"},
		{"a part without its first", []forward{part(ask(7, 1, 1), 1, 2)}, "-"},
		{"the rest never comes", []forward{part(ask(7, 1, 1), 0, 2), ask(7, 1, 2)}, "m-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := newIntake(nil)
			got := ""
			for _, f := range c.asked {
				batches, ok, err := i.take(&f)
				switch {
				case err != nil:
					got += "-"
				case !ok:
					got += "m"
				case len(batches) == 1:
					got += "t"
				}
			}
			if got != c.want {
				t.Errorf("they are answered %s, want %s", got, c.want)
			}
		})
	}
	if _, _, err := newIntake(nil).take(&forward{number: 1, parts: 1, body: []byte{9}}); !errors.Is(err, errDecode) {
		t.Errorf("a request that makes no sense is answered with %v", err)
	}
}

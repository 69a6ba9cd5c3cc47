package fold_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/fold"
)

func TestAStepIsWhatTheFoldDoesWithOneEvent(t *testing.T) {
	rec := &driver.Record{Event: driver.Event{Type: "Sold", Stream: "item-1", Data: []byte(`{"n":9007199254740993}`)}, Position: 7, Version: 2}
	for _, c := range []struct{ program, state, want, failure string }{
		{`.n += $event.data.n`, `{"n":1}`, `{"n":9007199254740994}`, ""},
		{`def f: .n; {n: f, s: $event.stream}`, `{"n":1}`, `{"n":1,"s":"item-1"}`, ""},
		{`null`, `{"n":1}`, `null`, ""},
		{`empty`, `{}`, "", "it gives no output"},
		{`., .`, `{}`, "", "more than one output"},
		{`.n.x`, `{"n":1}`, "", "position 7"},
		{`last(range(1e12))`, `{}`, "", "it takes too long"},
	} {
		f, err := fold.Compile(c.program, &fold.Options{Limit: 200 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		s, err := f.Stepper()
		if err != nil {
			t.Fatal(err)
		}
		state, err := fold.Parse([]byte(c.state))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the same again
			got, err := s.Step(t.Context(), state, rec)
			var failed *fold.Error
			if c.failure != "" {
				if !errors.As(err, &failed) || !strings.Contains(err.Error(), c.failure) {
					t.Errorf("%s: %v, want %s", c.program, err, c.failure)
				}
				continue
			}
			text, _ := fold.Marshal(got)
			if err != nil || string(text) != c.want {
				t.Errorf("%s gives %s, %v, want %s", c.program, text, err, c.want)
			}
		}
	}
	s, err := fold.Merge().Stepper()
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Step(t.Context(), map[string]any{"a": 1}, rec)
	text, _ := fold.Marshal(got)
	if err != nil || string(text) != `{"a":1,"n":9007199254740993}` {
		t.Errorf("the merge gives %s, %v", text, err)
	}
}

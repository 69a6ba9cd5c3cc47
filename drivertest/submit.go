package drivertest

import (
	"errors"
	"fmt"
	"time"

	"github.com/annals-db/annals/driver"
)

var submitTests = []test{
	{"what is submitted lies in the log in that order", func(e *env) {
		s := capability[driver.Submitter](e)
		var answers []func() (driver.Receipt, error)
		start := time.Date(2010, 12, 1, 0, 0, 0, 0, time.UTC)
		for i := range 500 {
			answers = append(answers, s.Submit(e.ctx, driver.Batch{Events: e.events("item-1", 1+i%3), Time: start.Add(time.Duration(i))}))
		}
		next := driver.Position(1)
		for i, answer := range answers {
			r, err := answer()
			if err != nil || r.First != next || r.Last != next+driver.Position(i%3) {
				e.Fatalf("batch %d was given %+v and %v, want first position %d", i, r, err, next)
			}
			next = r.Last + 1
		}
		equal(e.T, "head", e.head(), next-1)
	}},
	{"each is judged after the one before", func(e *env) {
		s := capability[driver.Submitter](e)
		var answers []func() (driver.Receipt, error)
		for v := range uint64(200) {
			answers = append(answers, s.Submit(e.ctx, driver.Batch{Events: e.events("item-1", 1), Conditions: []driver.Condition{driver.StreamAt("item-1", v)}}))
		}
		for v, answer := range answers {
			if r, err := answer(); err != nil || r.Versions[0] != uint64(v+1) {
				e.Fatalf("batch %d was given %+v and %v", v, r, err)
			}
		}
	}},
	{"one that is refused does not stop those behind it", func(e *env) {
		s := capability[driver.Submitter](e)
		bad := e.events("item-1", 1)
		bad[0].Type = ""
		once := driver.Batch{Events: e.events("item-2", 2)}
		answers := []func() (driver.Receipt, error){
			s.Submit(e.ctx, once),
			s.Submit(e.ctx, driver.Batch{Events: bad}),
			s.Submit(e.ctx, driver.Batch{Events: e.events("item-1", 1), Conditions: []driver.Condition{driver.StreamPresent("item-1")}}),
			s.Submit(e.ctx, once),
			s.Submit(e.ctx, driver.Batch{Events: once.Events[:1]}),
			s.Submit(e.ctx, driver.Batch{Events: e.events("item-1", 1), Conditions: []driver.Condition{driver.StreamAt("item-2", 2)}}),
		}
		got := ""
		for _, answer := range answers {
			r, err := answer()
			got += fmt.Sprintf("%T %d %v, ", err, r.First, r.Repeated)
		}
		equal(e.T, "answers", got, "<nil> 1 false, *driver.InvalidError 0 false, *driver.ConflictError 0 false, <nil> 1 true, *driver.IDError 0 false, <nil> 3 false, ")
	}},
	{"several may submit and append at once, each in its own order", func(e *env) {
		s := capability[driver.Submitter](e)
		race(e, 8, func(w int) error {
			stream := fmt.Sprintf("item-%d", w)
			var answers []func() (driver.Receipt, error)
			for v := range uint64(60) {
				b := driver.Batch{Events: []driver.Event{e.event(stream, "A"), e.event("shared", "B")}, Conditions: []driver.Condition{driver.StreamAt(stream, v)}}
				if w%2 == 0 {
					answers = append(answers, s.Submit(e.ctx, b))
				} else if _, err := e.log.Append(e.ctx, b); err != nil {
					return err
				}
			}
			last := driver.Position(0)
			for v, answer := range answers {
				r, err := answer()
				if err != nil {
					return err
				}
				if r.First <= last || r.Versions[0] != uint64(v+1) {
					return fmt.Errorf("batch %d is at %d with version %d, the one before ends at %d", v, r.First, r.Versions[0], last)
				}
				last = r.Last
			}
			return nil
		})
		equal(e.T, "records", len(e.all()), 8*60*2)
	}},
	{"answers may be asked for in any order or never", func(e *env) {
		s := capability[driver.Submitter](e)
		var answers []func() (driver.Receipt, error)
		for range 50 {
			answers = append(answers, s.Submit(e.ctx, driver.Batch{Events: e.events("item-1", 1)}))
		}
		for i := len(answers) - 1; i > 20; i-- {
			if r, err := answers[i](); err != nil || r.First != driver.Position(i+1) {
				e.Fatalf("batch %d was given %+v and %v", i, r, err)
			}
		}
		if err := e.log.Close(); err != nil {
			e.Errorf("Close with answers not asked for: %v", err)
		}
	}},
	{"after Close the answer says so", func(e *env) {
		s := capability[driver.Submitter](e)
		if err := e.log.Close(); err != nil {
			e.Fatal(err)
		}
		if _, err := s.Submit(e.ctx, driver.Batch{Events: e.events("item-1", 1)})(); !errors.Is(err, driver.ErrClosed) {
			e.Errorf("the answer is %v", err)
		}
	}},
}

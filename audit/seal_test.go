package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/annals-db/annals/audit"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
)

// rewritten returns a log with the ID of another and all its events, as
// someone would write it who can rewrite the whole store; change changes one.
func rewritten(t *testing.T, log driver.Log, change func(*driver.Record) bool) driver.Log {
	t.Helper()
	info, err := log.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	forged := memstore.New(&memstore.Options{LogID: info.LogID})
	t.Cleanup(func() { forged.Close() })
	var b driver.Batch
	var batch driver.Position
	flush := func() {
		if len(b.Events) > 0 {
			if _, err := forged.Append(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		b = driver.Batch{}
	}
	for r, err := range log.Read(context.Background(), driver.Query{}, driver.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Batch != batch {
			flush()
			batch, b.Time, b.Conditions = r.Batch, r.Time, r.Conditions
		}
		if change(&r) {
			b.Events = append(b.Events, r.Event)
		}
	}
	flush()
	return forged
}

// logOf returns a log with events in batches.
func logOf(t *testing.T, rnd *rand.Rand, batches int) driver.Log {
	t.Helper()
	log := memstore.New(nil)
	t.Cleanup(func() { log.Close() })
	grow(t, log, rnd, batches)
	return log
}

func grow(t *testing.T, log driver.Log, rnd *rand.Rand, batches int) {
	t.Helper()
	for range batches {
		var b driver.Batch
		for range 1 + rnd.IntN(3) {
			b.Events = append(b.Events, driver.Event{ID: uuid.Must(uuid.NewV7()), Stream: fmt.Sprintf("s-%d", rnd.IntN(5)), Type: "T",
				Data: fmt.Appendf(nil, `{"n":%d}`, rnd.IntN(1000)), Metadata: driver.Metadata{{Key: "reason", Value: "ticket"}}})
		}
		if _, err := log.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSealsFindEveryLaterChange(t *testing.T) {
	const seed = 3
	rnd := rand.New(rand.NewPCG(seed, seed))
	log := logOf(t, rnd, 10)
	var file bytes.Buffer
	for range 5 {
		s, err := audit.TakeSeal(t.Context(), log)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&file, string(text))
		grow(t, log, rnd, 10)
	}
	file.WriteString(`{"log_id":`) // a crash in the middle of a line
	seals, err := audit.ReadSeals(&file)
	if err != nil || len(seals) != 5 {
		t.Fatalf("%d seals, %v", len(seals), err)
	}
	if held, err := audit.CheckSeals(t.Context(), log, seals); held != 5 || err != nil {
		t.Errorf("%d seals hold, %v", held, err)
	}
	same := rewritten(t, log, func(*driver.Record) bool { return true })
	if held, err := audit.CheckSeals(t.Context(), same, seals); held != 5 || err != nil {
		t.Errorf("of an exact copy %d seals hold, %v", held, err)
	}
	last := seals[4].Position
	for what, change := range map[string]func(r *driver.Record){
		"data":     func(r *driver.Record) { r.Data = []byte(`{"n":-1}`) },
		"metadata": func(r *driver.Record) { r.Metadata = driver.Metadata{{Key: "reason", Value: "none"}} },
		"type":     func(r *driver.Record) { r.Type = "U" },
		"id":       func(r *driver.Record) { r.ID = uuid.Must(uuid.NewV7()) },
		"occurred": func(r *driver.Record) { r.Occurred = r.Time.Add(-1) },
	} {
		for range 5 {
			at := 1 + driver.Position(rnd.IntN(int(last)))
			forged := rewritten(t, log, func(r *driver.Record) bool {
				if r.Position == at {
					change(r)
				}
				return true
			})
			wantTampered(t, forged, seals, fmt.Sprintf("%s of position %d changed", what, at), at)
		}
	}
	at := 1 + driver.Position(rnd.IntN(int(last)))
	wantTampered(t, rewritten(t, log, func(r *driver.Record) bool { return r.Position != at }), seals, "an event taken out", at)
	wantTampered(t, rewritten(t, log, func(r *driver.Record) bool { return r.Position < last }), seals, "the end cut off", last)
	wantTampered(t, logOf(t, rnd, 60), seals, "another log", 1)
}

func wantTampered(t *testing.T, log driver.Log, seals []audit.Seal, what string, at driver.Position) {
	t.Helper()
	held, err := audit.CheckSeals(t.Context(), log, seals)
	var tampered *audit.TamperedError
	if !errors.As(err, &tampered) || tampered.Whole >= at {
		t.Errorf("%s: %d seals hold, %v", what, held, err)
	}
}

func TestSealsInAnotherLog(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	log, other := logOf(t, rnd, 3), memstore.New(nil)
	defer other.Close()
	for range 3 {
		s, err := audit.TakeSeal(t.Context(), log)
		if err != nil {
			t.Fatal(err)
		}
		if err := audit.KeepSeal(t.Context(), other, s); err != nil {
			t.Fatal(err)
		}
		grow(t, log, rnd, 2)
	}
	seals, err := audit.KeptSeals(t.Context(), other)
	if err != nil || len(seals) != 3 {
		t.Fatalf("%d seals, %v", len(seals), err)
	}
	if held, err := audit.CheckSeals(t.Context(), log, seals); held != 3 || err != nil {
		t.Errorf("%d hold, %v", held, err)
	}
	if _, err := audit.ReadSeals(strings.NewReader("no seal\n")); err == nil {
		t.Error("a line that is no seal is taken")
	}
}

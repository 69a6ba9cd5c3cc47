package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/codec"
	"github.com/annals-db/annals/driver"
)

// timer is one timer of an application: what its last event says counts.
type timer struct {
	annals.Entity
	Pending bool
	At      time.Time
	Set     annals.ID // the event that set it
	Type    string    // of the event that is to happen
	Data    json.RawMessage
}

// The events of a timer, in the log as process.TimerSet and so on.
type (
	timerSet struct {
		App, Key string
		At       time.Time
		Type     string
		Data     json.RawMessage // as JSON, whatever the type's codec
	}
	timerFired     struct{ App, Key string }
	timerCancelled struct{ App, Key string }
)

var (
	_ = annals.Declare[timerSet]("process.TimerSet")
	_ = annals.Declare[timerFired]("process.TimerFired")
	_ = annals.Declare[timerCancelled]("process.TimerCancelled")
)

var timerModel = annals.NewModel("timer",
	annals.OnEnvelope(func(t *timer, e timerSet, env annals.Envelope) {
		t.Pending, t.At, t.Set, t.Type, t.Data = true, e.At, env.ID, e.Type, e.Data
	}),
	annals.On(func(t *timer, e timerFired) { t.Pending = false }),
	annals.On(func(t *timer, e timerCancelled) { t.Pending = false }),
)

func timerTag(app string) string { return "timer:" + app }

var plain = codec.Stack(codec.JSON)

// Schedule makes event happen at a time, by the clock of the application's log,
// unless Cancel comes first: it is then appended to the log, and if the
// application handles its type, the reaction is part of the same transaction.
// key names the timer within the application; a timer of that key that has not
// fired is replaced. The event is kept as JSON until then, without the layers
// of its codec.
func (r *Reaction) Schedule(key string, at time.Time, event any) error {
	data, name, err := encodePlain(event)
	if err != nil {
		return fmt.Errorf("schedule %q: %w", key, err)
	}
	t, err := timerModel.Load(r.Tx, r.app.name+"/"+key)
	if errors.Is(err, annals.ErrNotFound) {
		t, err = timerModel.Create(r.Tx, r.app.name+"/"+key)
	}
	if err != nil {
		return fmt.Errorf("schedule %q: %w", key, err)
	}
	set := timerSet{App: r.app.name, Key: key, At: at.UTC(), Type: name, Data: data}
	return t.Record(set, annals.WithTags(timerTag(r.app.name)))
}

// Cancel makes the timer of a key not fire. One that has fired, or that there
// is none of, is no error.
func (r *Reaction) Cancel(key string) error {
	t, err := timerModel.Load(r.Tx, r.app.name+"/"+key)
	switch {
	case errors.Is(err, annals.ErrNotFound), err == nil && !t.Pending:
		return nil
	case err != nil:
		return fmt.Errorf("cancel %q: %w", key, err)
	}
	return t.Record(timerCancelled{r.app.name, key}, annals.WithTags(timerTag(r.app.name)))
}

func encodePlain(event any) (json.RawMessage, string, error) {
	name, err := annals.TypeName(event)
	if err != nil {
		return nil, "", err
	}
	v := reflect.ValueOf(event)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	data, err := plain.Encode(v.Interface(), codec.Envelope{})
	return data, name, err
}

// events returns what is to happen when the timer fires.
func (t *timer) events(db *annals.DB) ([]any, error) {
	return db.Decode(annals.Record{Event: driver.Event{ID: t.Set, Type: t.Type, Data: t.Data}})
}

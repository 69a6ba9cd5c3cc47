package collab

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/codec"
	"github.com/annals-db/annals/driver"
	"github.com/go-json-experiment/json/jsontext"
)

// TextEdited is the event in the log: a change of the text as the version
// before it left it. Who made it is the metadata "actor".
type TextEdited struct {
	Change Change
	Client string `json:",omitempty"` // the editor that made it: a window, not a person
	Seq    uint64 `json:",omitzero"`  // that editor's count of its changes
	Kind   Kind   `json:",omitempty"`
	Joins  bool   `json:",omitzero"` // it goes on with the action that the author's change before it is of
}

const eventType = "TextEdited"

var _ = annals.Declare[TextEdited](eventType)

// Kind says what made a change.
type Kind string

// The kinds of change.
const (
	Typed    Kind = ""
	Undone   Kind = "undo"
	Redone   Kind = "redo"
	Restored Kind = "restore" // an earlier version's text again
)

func (k Kind) valid() bool { return k == Typed || k == Undone || k == Redone || k == Restored }

// Edit is a change as it was accepted: the one that made a version.
type Edit struct {
	Version uint64
	Author  string
	Client  string
	Seq     uint64
	Kind    Kind
	Joins   bool   // it is one action with the author's change before it: both are undone together
	Change  Change // of the version before
	Time    time.Time
}

// edit is an accepted change with what came of it.
type edit struct {
	Edit
	position driver.Position
	id       driver.ID
	before   Text
	forms    [2]encodedEdit // in either unit
}

// encodedEdit is an edit as it goes over the wire.
type encodedEdit struct {
	once sync.Once
	json jsontext.Value
	err  error
}

// edited decodes a record of the stream. An event of another type changes nothing.
func (d *Documents) edited(r *driver.Record) (*edit, error) {
	e := &edit{position: r.Position, id: r.ID}
	e.Version, e.Author, e.Time = r.Version, r.Metadata.Value("actor"), r.Time
	if r.Type != eventType {
		return e, nil
	}
	var data TextEdited
	var err error
	if p := d.opts.Codec; p != nil && r.Encoding == p.Name() {
		err = p.Decode(r.Data, codec.Envelope{Log: d.log, Stream: r.Stream, Type: r.Type, ID: r.ID}, &data)
	} else if r.Encoding == codec.JSON.Name() {
		err = codec.JSON.Unmarshal(r.Data, &data)
	} else {
		err = fmt.Errorf("%w %q", codec.ErrUnknownEncoding, r.Encoding)
	}
	if err != nil {
		return nil, fmt.Errorf("version %d of %q: %w", r.Version, r.Stream, err)
	}
	e.Client, e.Seq, e.Kind, e.Joins, e.Change = data.Client, data.Seq, data.Kind, data.Joins, data.Change
	return e, nil
}

// event encodes an edit, with the ID that follows from who sent it.
func (d *Documents) event(stream string, e *edit) (driver.Event, error) {
	event := driver.Event{ID: e.id, Stream: stream, Type: eventType, Metadata: driver.NewMetadata(map[string]string{"actor": e.Author})}
	data := TextEdited{e.Change, e.Client, e.Seq, e.Kind, e.Joins}
	var err error
	if p := d.opts.Codec; p != nil {
		event.Encoding = p.Name()
		event.Data, err = p.Encode(data, codec.Envelope{Log: d.log, Stream: stream, Type: eventType, ID: e.id})
	} else {
		event.Data, err = codec.JSON.Marshal(data)
	}
	if err != nil {
		return event, err
	}
	if size := event.Size(); size > d.limits.EventBytes {
		return event, &RefusedError{Reason: fmt.Sprintf("the change takes %d bytes, over the limit of %d", size, d.limits.EventBytes)}
	}
	return event, nil
}

// RefusedError says why a change or a message was refused. Whoever sent it has
// to begin anew; nobody else is touched.
type RefusedError struct {
	Reason string
	Err    error // such as a *PositionError; may be nil
}

func (e *RefusedError) Error() string { return "refused: " + e.words() }

func (e *RefusedError) words() string {
	if e.Err != nil {
		return e.Reason + ": " + e.Err.Error()
	}
	return e.Reason
}

func (e *RefusedError) Unwrap() error { return e.Err }

// ErrClosed is returned by what is closed.
var ErrClosed = errors.New("closed")

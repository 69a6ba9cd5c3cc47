package collab

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// What goes over a WebSocket are texts of JSON, an object each, whose "type" says
// what it is. Positions and the counts of changes are in the units of the hello.
//
//	from the editor
//	  hello    units, client, since   first of all; since is the version it has, absent for none
//	  edit     seq, base, change, kind, joins
//	  caret    base, anchor, head
//	to the editor
//	  welcome  author, version; without since also text, undo, redo
//	  edits    edits: version, author, client, seq, kind, joins, change, time (ms since 1970)
//	  carets   version, carets: client, author, anchor, head; left: clients
//	  refused  reason                 then the connection is closed
//
// An editor's own edit, come back, says that it was accepted. An editor sends a
// change only when the one before it was.

// inbound is a message from an editor.
type inbound struct {
	Type   string  `json:"type"`
	Units  Units   `json:"units,omitzero"`
	Client string  `json:"client,omitzero"`
	Since  *uint64 `json:"since,omitzero"`
	Seq    uint64  `json:"seq,omitzero"`
	Base   uint64  `json:"base,omitzero"`
	Change Change  `json:"change,omitzero"`
	Kind   Kind    `json:"kind,omitzero"`
	Joins  bool    `json:"joins,omitzero"`
	Anchor int     `json:"anchor,omitzero"`
	Head   int     `json:"head,omitzero"`
}

// outbound is a message to an editor.
type outbound struct {
	Type    string           `json:"type"`
	Author  string           `json:"author,omitzero"`
	Version uint64           `json:"version,omitzero"`
	Text    *string          `json:"text,omitzero"`
	Undo    []Change         `json:"undo,omitzero"`
	Redo    []Change         `json:"redo,omitzero"`
	Edits   []jsontext.Value `json:"edits,omitzero"`
	Carets  []wireCaret      `json:"carets,omitzero"`
	Left    []string         `json:"left,omitzero"`
	Reason  string           `json:"reason,omitzero"`
}

type wireCaret struct {
	Client string `json:"client"`
	Author string `json:"author"`
	Anchor int    `json:"anchor"`
	Head   int    `json:"head"`
}

type wireEdit struct {
	Version uint64 `json:"version"`
	Author  string `json:"author"`
	Client  string `json:"client"`
	Seq     uint64 `json:"seq"`
	Kind    Kind   `json:"kind,omitzero"`
	Joins   bool   `json:"joins,omitzero"`
	Change  Change `json:"change"`
	Time    int64  `json:"time"`
}

// strict refuses what an editor would not send.
var strict = json.RejectUnknownMembers(true)

func decodeInbound(data []byte) (inbound, error) {
	var m inbound
	if err := json.Unmarshal(data, &m, strict); err != nil {
		if v := jsontext.Value(data); !v.IsValid() && v.IsValid(jsontext.AllowInvalidUTF8(true)) {
			return m, &RefusedError{Reason: "half a surrogate pair, or bytes that are not UTF-8"}
		}
		return m, &RefusedError{Reason: "a message that cannot be read", Err: err}
	}
	return m, nil
}

// encoded returns e as a JSON object in units u. It is made once.
func (e *edit) encoded(u Units) (jsontext.Value, error) {
	form := &e.forms[0]
	if u == UTF16 {
		form = &e.forms[1]
	}
	form.once.Do(func() {
		form.json, form.err = json.Marshal(wireEdit{e.Version, e.Author, e.Client, e.Seq, e.Kind, e.Joins,
			e.before.toWire(e.Change, u), e.Time.UnixMilli()})
	})
	return form.json, form.err
}

func decodeEdit(data []byte, before Text, u Units) (Edit, error) {
	var w wireEdit
	if err := json.Unmarshal(data, &w); err != nil {
		return Edit{}, err
	}
	c, err := before.fromWire(w.Change, u)
	if err != nil {
		return Edit{}, fmt.Errorf("version %d: %w", w.Version, err)
	}
	return Edit{w.Version, w.Author, w.Client, w.Seq, w.Kind, w.Joins, c, time.UnixMilli(w.Time).UTC()}, nil
}

package gitlog

import (
	"math"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
)

// namespace is that of the IDs made from commits.
var namespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/annals-db/annals/import/git"))

// mapping turns commits into events.
type mapping struct {
	prefix string
	limits driver.Limits
}

// id is the ID of what the texts name.
func (m *mapping) id(texts ...string) driver.ID {
	b := append([]byte(m.prefix), 0)
	for _, t := range texts {
		b = append(append(b, t...), 0)
	}
	return uuid.NewSHA1(namespace, b)
}

// object writes a JSON object field by field. Without names, so far, it is "{".
type object []byte

func newObject() object { return append(make(object, 0, 320), '{') }

// hash writes what git gives as a hash, which needs no escapes.
func (o *object) hash(name, value string) {
	o.name(name)
	*o = append(append(append(*o, '"'), value...), '"')
}

func (o *object) name(name string) {
	if len(*o) > 1 {
		*o = append(*o, ',')
	}
	*o = append(append(append(*o, '"'), name...), '"', ':')
}

func (o *object) text(name, value string) {
	o.name(name)
	*o = appendText(*o, value)
}

func (o *object) null(name string) {
	o.name(name)
	*o = append(*o, "null"...)
}

func appendText(b []byte, s string) []byte {
	out, err := jsontext.AppendQuote(b, s)
	if err != nil {
		out, _ = jsontext.AppendQuote(b, strings.ToValidUTF8(s, "\uFFFD"))
	}
	return out
}

// events returns a commit's events, its own first.
func (m *mapping) events(c *Commit, branch string) []driver.Event {
	events := make([]driver.Event, 1, 1+len(c.Changes))
	commit := m.id(c.Hash)
	occurred := moment(c.Authored)
	events[0] = driver.Event{ID: commit, Stream: streamName("branch", m.prefix, branch, m.limits.NameBytes), Type: "Committed",
		Data: commitData(c), Metadata: c.metadata(m.parent(c)), Occurred: occurred}
	metadata := c.metadata(commit.String())
	for i := range c.Changes {
		change := &c.Changes[i]
		add := func(typ, path string, data object) {
			events = append(events, driver.Event{ID: m.id(c.Hash, path), Stream: streamName("file", m.prefix, path, m.limits.NameBytes),
				Type: typ, Data: append(data, '}'), Metadata: metadata, Occurred: occurred})
		}
		add(change.typ(), change.Path, changeData(c, change))
		if change.Status == 'R' {
			data := newObject()
			data.text("path", Escape(change.From))
			data.hash("commit", c.Hash)
			data.text("to", Escape(change.Path))
			data.hash("before", change.Old)
			data.null("blob")
			data.null("mode")
			add("FileMovedAway", change.From, data)
		}
	}
	return events
}

func (m *mapping) parent(c *Commit) string {
	if len(c.Parents) == 0 {
		return ""
	}
	return m.id(c.Parents[0]).String()
}

// metadata is sorted by key.
func (c *Commit) metadata(cause string) driver.Metadata {
	clean := func(s string) string { return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "") }
	author := c.Author
	if author == "" {
		author = c.Email
	}
	var md driver.Metadata
	if author = clean(author); author != "" {
		md = append(md, driver.Pair{Key: "actor", Value: author})
	}
	if cause != "" {
		md = append(md, driver.Pair{Key: "causation", Value: cause})
	}
	md = append(md, driver.Pair{Key: "correlation", Value: c.Hash})
	subject, _, _ := strings.Cut(c.Message, "\n")
	if subject = clean(subject); subject != "" {
		md = append(md, driver.Pair{Key: "reason", Value: shortened(subject, 1000)})
	}
	return md
}

func shortened(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// maxMessage is how much of a message is kept.
const maxMessage = 512 << 10

func commitData(c *Commit) []byte {
	o := newObject()
	o.hash("commit", c.Hash)
	o.name("parents")
	o = append(o, '[')
	for i, p := range c.Parents {
		if i > 0 {
			o = append(o, ',')
		}
		o = appendText(o, p)
	}
	o = append(o, ']')
	o.text("author", c.Author)
	o.text("email", c.Email)
	if t := moment(c.Committed); !t.IsZero() {
		o.text("committed", t.Format(time.RFC3339))
	}
	o.text("message", shortened(c.Message, maxMessage))
	return append(o, '}')
}

// typ is the event type of a change.
func (c *Change) typ() string {
	switch c.Status {
	case 'A':
		return "FileAdded"
	case 'D':
		return "FileDeleted"
	case 'R':
		return "FileRenamed"
	case 'C':
		return "FileCopied"
	case 'T':
		return "FileTypeChanged"
	}
	if c.Old == c.Blob {
		return "FileModeChanged"
	}
	return "FileModified"
}

func changeData(c *Commit, change *Change) object {
	o := newObject()
	o.text("path", Escape(change.Path))
	o.hash("commit", c.Hash)
	switch change.Status {
	case 'D':
		o.hash("before", change.Old)
		o.null("blob")
		o.null("mode")
		return o
	case 'A':
		o.null("before")
		o.null("to") // where it had gone, if it was here before
	default:
		o.hash("before", change.Old)
	}
	if change.From != "" {
		o.text("from", Escape(change.From))
		o.null("to")
	}
	o.hash("blob", change.Blob)
	o.text("mode", change.Mode)
	return o
}

// moment is a time in unix seconds, zero where a record cannot hold it.
func moment(seconds int64) time.Time {
	if seconds == 0 || seconds > math.MaxInt64/int64(time.Second) || seconds < math.MinInt64/int64(time.Second) {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

package collab

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/coder/websocket"
)

const (
	maxMessage   = 1 << 20          // bytes of a message from an editor
	writeTimeout = 30 * time.Second // an editor that takes a message no faster is let go
	pingInterval = 20 * time.Second
	helloTimeout = 10 * time.Second
	undoSent     = 200 // actions that can be undone, told to an editor that opens the text
)

// ServeEditor serves one editor of the text with a name, over a WebSocket,
// until it goes. Who the author is, and whether that one may edit this text,
// the caller knows. A name or author that cannot be is answered with status 400.
func (d *Documents) ServeEditor(w http.ResponseWriter, r *http.Request, name, author string) {
	if !utf8.ValidString(author) || author == "" || len(author) > 100 || hasControl(author) {
		http.Error(w, "an author's name is 1 to 100 bytes of text", http.StatusBadRequest)
		return
	}
	doc, err := d.Open(r.Context(), name)
	switch {
	case errors.Is(err, ErrName):
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	case err != nil:
		d.opts.Logger.Error("text not opened", "text", name, "error", err)
		http.Error(w, "the text cannot be opened", http.StatusServiceUnavailable)
		return
	}
	defer doc.Close()
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it has been answered
	}
	defer func() { _ = ws.CloseNow() }()
	ws.SetReadLimit(maxMessage)
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	e := &connection{doc: doc, ws: ws, author: author}
	if err := e.serve(ctx, stop); err != nil {
		e.close(err)
	}
}

func hasControl(s string) bool {
	for _, r := range s {
		if unicode.IsControl(r) {
			return true
		}
	}
	return false
}

// connection is an editor at the other end of a WebSocket.
type connection struct {
	doc    *Document
	ws     *websocket.Conn
	author string
	client string
	units  Units

	version uint64 // sent
	moves   uint64 // of carets, sent
	known   map[string]bool
}

func (c *connection) serve(ctx context.Context, stop func()) error {
	if err := c.hello(ctx); err != nil {
		return err
	}
	defer c.doc.leave(c.client, c)
	var work sync.WaitGroup
	ended := make(chan error, 3) // by whichever ends first
	work.Go(func() { ended <- c.write(ctx) })
	work.Go(func() { ended <- c.read(ctx) })
	work.Go(func() { ended <- c.ping(ctx) })
	err := <-ended
	c.close(err)
	stop()
	work.Wait()
	return nil
}

// hello reads the first message and answers it.
func (c *connection) hello(ctx context.Context) error {
	first, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	m, err := c.receive(first)
	if err != nil {
		return err
	}
	if m.Type != "hello" || m.Units != CodePoints && m.Units != UTF16 || m.Client == "" || len(m.Client) > 100 || hasControl(m.Client) {
		return &RefusedError{Reason: `the first message is a hello with "units" (code-points or utf-16) and a "client" of 1 to 100 bytes`}
	}
	c.client, c.units, c.known = m.Client, m.Units, map[string]bool{}
	answer := outbound{Type: "welcome", Author: c.author}
	if m.Since != nil {
		reached, err := c.doc.reach(ctx, *m.Since)
		if err == nil && !reached {
			err = &RefusedError{Reason: "the editor has a version that the text has not reached"}
		}
		if err != nil {
			return err
		}
		answer.Version = *m.Since
	} else {
		undo, text, version := c.doc.undoable(c.author)
		s := text.String()
		answer.Version, answer.Text = version, &s
		answer.Undo, answer.Redo = c.stack(undo.undo, text), c.stack(undo.redo, text)
	}
	c.version = answer.Version
	if err := c.doc.enter(ctx, Presence{Client: c.client, Author: c.author}, c.version, c); err != nil {
		return err
	}
	return c.send(ctx, answer)
}

// stack returns what can be undone, the last to be used first, each for the
// text that the one behind it leaves.
func (c *connection) stack(entries []undoEntry, text Text) []Change {
	all := settled(entries)
	all = all[max(0, len(all)-undoSent):]
	for i := len(all) - 1; i >= 0; i-- {
		wire := text.toWire(all[i], c.units)
		after, err := text.Apply(all[i])
		if err != nil {
			return all[i+1:]
		}
		all[i], text = wire, after
	}
	return all
}

// read takes in what the editor sends.
func (c *connection) read(ctx context.Context) error {
	for {
		m, err := c.receive(ctx)
		if err != nil {
			return err
		}
		switch m.Type {
		case "edit":
			err = c.edit(ctx, m)
		case "caret":
			err = c.caret(ctx, m)
		default:
			err = &RefusedError{Reason: "a message of unknown type"}
		}
		if err != nil {
			return err
		}
	}
}

func (c *connection) edit(ctx context.Context, m inbound) error {
	text, err := c.doc.textAt(ctx, m.Base)
	if err != nil {
		return err
	}
	change, err := text.fromWire(m.Change, c.units)
	if err != nil {
		return &RefusedError{Reason: "the change does not fit", Err: err}
	}
	_, err = c.doc.Submit(ctx, Proposal{c.author, c.client, m.Seq, m.Base, change, m.Kind, m.Joins})
	return err
}

func (c *connection) caret(ctx context.Context, m inbound) error {
	text, err := c.doc.textAt(ctx, m.Base)
	if err != nil {
		return err
	}
	anchor, err1 := text.positionFromWire(m.Anchor, c.units)
	head, err2 := text.positionFromWire(m.Head, c.units)
	if err := cmp.Or(err1, err2); err != nil {
		return &RefusedError{Reason: "the caret is not in the text", Err: err}
	}
	return c.doc.enter(ctx, Presence{c.client, c.author, anchor, head}, m.Base, c)
}

func (c *connection) receive(ctx context.Context) (inbound, error) {
	kind, data, err := c.ws.Read(ctx)
	if err != nil {
		return inbound{}, err
	}
	if kind != websocket.MessageText {
		return inbound{}, &RefusedError{Reason: "a message that is not text"}
	}
	return decodeInbound(data)
}

// close ends the connection, and says why.
func (c *connection) close(err error) {
	var refused *RefusedError
	switch {
	case errors.As(err, &refused):
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.send(ctx, outbound{Type: "refused", Reason: refused.words()})
		_ = c.ws.Close(websocket.StatusPolicyViolation, clip(refused.Reason, 120))
	case errors.Is(err, ErrClosed), errors.Is(err, context.Canceled):
		_ = c.ws.Close(websocket.StatusGoingAway, "the server ends")
	case websocket.CloseStatus(err) == -1:
		c.doc.docs.opts.Logger.Debug("editor gone", "text", c.doc.name, "error", err)
		_ = c.ws.Close(websocket.StatusInternalError, "")
	}
}

// clip cuts s to at most n bytes, at a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

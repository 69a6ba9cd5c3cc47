package collab

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// run keeps a connection until ctx ends or the server refuses.
func (c *Client) run(ctx context.Context) {
	defer close(c.done)
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 20*time.Millisecond, 2*time.Second
	for ctx.Err() == nil {
		c.mu.Lock()
		offline, changed := c.offline, c.changed
		c.mu.Unlock()
		if offline {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		began := time.Now()
		err := c.connect(ctx)
		var refused *RefusedError
		var diverged *DivergedError
		if errors.As(err, &refused) || errors.As(err, &diverged) {
			c.mu.Lock()
			c.err = err
			c.tell()
			c.mu.Unlock()
			return
		}
		if time.Since(began) > time.Second {
			pause.Reset()
		}
		select {
		case <-time.After(pause.NextBackOff()):
		case <-ctx.Done():
		}
	}
}

// connect makes one connection and uses it until it ends.
func (c *Client) connect(ctx context.Context) error {
	ctx, hangUp := context.WithCancel(ctx)
	defer hangUp()
	dial, cancel := context.WithTimeout(ctx, helloTimeout)
	ws, response, err := websocket.Dial(dial, c.url, c.opts.Dial) //nolint:bodyclose // the library does
	cancel()
	if err != nil {
		if response != nil && response.StatusCode/100 == 4 {
			return &RefusedError{Reason: response.Status}
		}
		return err
	}
	defer func() { _ = ws.CloseNow() }()
	ws.SetReadLimit(-1)
	c.mu.Lock()
	hello := inbound{Type: "hello", Units: c.opts.Units, Client: c.opts.Client}
	if version := c.s.version; c.fresh {
		hello.Since = &version
	}
	c.s.sent = false
	c.hangUp = hangUp
	offline := c.offline
	c.mu.Unlock()
	if offline {
		return nil
	}
	if err := write(ctx, ws, hello); err != nil {
		return err
	}
	var work sync.WaitGroup
	defer work.Wait()
	defer hangUp()
	welcomed := make(chan struct{})
	work.Go(func() {
		defer hangUp()
		select {
		case <-welcomed:
			c.send(ctx, ws)
		case <-ctx.Done():
		}
	})
	return c.receive(ctx, ws, welcomed)
}

func write(ctx context.Context, ws *websocket.Conn, m inbound) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return ws.Write(ctx, websocket.MessageText, data)
}

// send sends what is to be sent until the connection ends.
func (c *Client) send(ctx context.Context, ws *websocket.Conn) {
	for {
		c.mu.Lock()
		changed := c.changed
		var m inbound
		if p, ok := c.s.next(); ok {
			m = inbound{Type: "edit", Seq: p.Seq, Base: p.Base, Change: c.s.base.toWire(p.Change, c.opts.Units), Kind: p.Kind, Joins: p.Joins}
		} else if c.caret != nil && len(c.s.outgoing) == 0 { // so that it is in a text that the server knows
			m = inbound{Type: "caret", Base: c.s.version,
				Anchor: c.s.text.positionToWire(min(c.caret.anchor, c.s.text.Len()), c.opts.Units),
				Head:   c.s.text.positionToWire(min(c.caret.head, c.s.text.Len()), c.opts.Units)}
			c.caret = nil
		}
		c.mu.Unlock()
		if m.Type != "" {
			if write(ctx, ws, m) != nil {
				return
			}
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// receive takes in what the server sends until the connection ends.
func (c *Client) receive(ctx context.Context, ws *websocket.Conn, welcomed chan struct{}) error {
	for {
		_, data, err := ws.Read(ctx)
		if err != nil {
			return err
		}
		var m outbound
		if err := json.Unmarshal(data, &m); err != nil {
			return err
		}
		c.mu.Lock()
		switch m.Type {
		case "welcome":
			if !c.fresh && m.Text != nil {
				c.begin(m)
			}
			close(welcomed)
			clear(c.peers)
		case "edits":
			err = c.edits(m.Edits)
		case "carets":
			err = c.carets(m)
		case "refused":
			err = &RefusedError{Reason: m.Reason}
		}
		c.tell()
		c.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// begin takes in the text when it is opened.
func (c *Client) begin(m outbound) {
	c.fresh = true
	c.s.author, c.s.version = m.Author, m.Version
	c.s.base = NewText(*m.Text)
	c.s.text = c.s.base
	c.s.stack.undo = opened(m.Undo, c.s.text, c.opts.Units)
	c.s.stack.redo = opened(m.Redo, c.s.text, c.opts.Units)
}

// opened turns what can be undone into code points.
func opened(wire []Change, text Text, u Units) []undoEntry {
	entries := make([]undoEntry, len(wire))
	for i := len(wire) - 1; i >= 0; i-- {
		change, err := text.fromWire(wire[i], u)
		if err == nil {
			entries[i].change = change
			text, err = text.Apply(change)
		}
		if err != nil {
			return entries[i+1:]
		}
	}
	return entries
}

func (c *Client) edits(all []jsontext.Value) error {
	for _, data := range all {
		e, err := decodeEdit(data, c.s.base, c.opts.Units)
		if err != nil {
			return &DivergedError{err.Error()}
		}
		change, err := c.s.receive(e)
		if err != nil {
			return err
		}
		e.Change = change
		for client, p := range c.peers {
			p.follow(e, client)
			c.peers[client] = p
		}
		c.goAlong(change)
	}
	return nil
}

// carets takes in where others are: in the server's text, over which lies what
// has been done here since.
func (c *Client) carets(m outbound) error {
	for _, client := range m.Left {
		delete(c.peers, client)
	}
	for _, w := range m.Carets {
		anchor, err1 := c.s.base.positionFromWire(w.Anchor, c.opts.Units)
		head, err2 := c.s.base.positionFromWire(w.Head, c.opts.Units)
		if err := errors.Join(err1, err2); err != nil {
			return &DivergedError{err.Error()}
		}
		for _, p := range c.s.outgoing {
			anchor, head = p.Change.Map(anchor, false), p.Change.Map(head, false)
		}
		c.peers[w.Client] = Presence{w.Client, w.Author, anchor, head}
	}
	return nil
}

// moved takes others' carets over a change of the editor's own.
func (c *Client) moved(change Change) {
	for client, p := range c.peers {
		p.Anchor, p.Head = change.Map(p.Anchor, false), change.Map(p.Head, false)
		c.peers[client] = p
	}
	c.goAlong(change)
}

// goAlong takes what is selected and not told yet over a change.
func (c *Client) goAlong(change Change) {
	if c.caret != nil {
		c.caret = &caretMove{change.Map(c.caret.anchor, false), change.Map(c.caret.head, false)}
	}
}

package collab

import (
	"context"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"
)

func (c *connection) send(ctx context.Context, m outbound) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return c.ws.Write(ctx, websocket.MessageText, data)
}

// write sends the editor what comes.
func (c *connection) write(ctx context.Context) error {
	for {
		news, err := c.news(ctx)
		if err != nil {
			return err
		}
		for _, m := range news.messages {
			if err := c.send(ctx, m); err != nil {
				return err
			}
		}
		if len(news.messages) > 0 {
			continue
		}
		select {
		case <-news.changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.doc.ended:
			return ErrClosed
		}
	}
}

// news is what an editor has not been sent yet.
type news struct {
	messages []outbound
	changed  <-chan struct{} // closed when there is more
}

func (c *connection) news(ctx context.Context) (news, error) {
	edits, changed, err := c.doc.since(ctx, c.version)
	if err != nil {
		return news{}, err
	}
	n := news{changed: changed}
	if len(edits) > 0 {
		m := outbound{Type: "edits"}
		for _, e := range edits[:min(len(edits), 500)] {
			data, err := e.encoded(c.units)
			if err != nil {
				return news{}, err
			}
			m.Edits = append(m.Edits, data)
			c.version = e.Version
		}
		n.messages = append(n.messages, m)
	}
	if m, any := c.carets(); any {
		n.messages = append(n.messages, m)
	}
	return n, nil
}

// carets returns where others' carets are, if any has moved by itself since and
// the editor has the version they are of.
func (c *connection) carets() (outbound, bool) {
	d := c.doc
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.moves == c.moves || d.head.version != c.version {
		return outbound{}, false
	}
	m := outbound{Type: "carets", Version: c.version}
	for client, p := range d.presence {
		if client == c.client || p.moved <= c.moves && c.known[client] {
			continue
		}
		c.known[client] = true
		m.Carets = append(m.Carets, wireCaret{client, p.Author,
			d.head.text.positionToWire(p.Anchor, c.units), d.head.text.positionToWire(p.Head, c.units)})
	}
	for client := range c.known {
		if d.presence[client] == nil {
			delete(c.known, client)
			m.Left = append(m.Left, client)
		}
	}
	c.moves = d.moves
	return m, len(m.Carets)+len(m.Left) > 0
}

// ping finds out when the editor has gone without a word.
func (c *connection) ping(ctx context.Context) error {
	tick := time.NewTicker(pingInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			pong, cancel := context.WithTimeout(ctx, pingInterval)
			err := c.ws.Ping(pong)
			cancel()
			if err != nil {
				return err
			}
		}
	}
}

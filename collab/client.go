package collab

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/annals-db/annals"
	"github.com/coder/websocket"
)

// Client is an editor of a text on a server: for programs that write, and for
// tests. What is done to it is done at once, and sent when it can be; a lost
// connection is made again, and what was done meanwhile is rebased. It may be
// used by any number of goroutines.
type Client struct {
	url  string
	opts ClientOptions
	stop context.CancelFunc
	done chan struct{}

	mu      sync.Mutex
	s       session
	fresh   bool // the text has been received
	peers   map[string]Presence
	caret   *caretMove // to be sent
	offline bool
	hangUp  func()        // ends the connection there is
	changed chan struct{} // closed when anything changes
	err     error         // for good
}

type caretMove struct{ anchor, head int }

// ClientOptions are the options of [Dial].
type ClientOptions struct {
	// Client names the editor. Defaults to a random ID.
	Client string
	// Units are what the wire counts in. Defaults to CodePoints.
	Units Units
	// Pause is how long one may pause within an action that is undone whole;
	// what is not sent yet is sent as one change as far. Negative makes each
	// edit an action. Defaults to 1 s.
	Pause time.Duration
	// Dial is handed to the WebSocket library. Defaults to nil.
	Dial *websocket.DialOptions
}

// Dial opens the text that a server serves at a URL (ws:// or wss://) by
// [Documents.ServeEditor]. ctx is that of opening it; [Client.Close] ends it.
func Dial(ctx context.Context, url string, opts *ClientOptions) (*Client, error) {
	c := &Client{url: url, done: make(chan struct{}), changed: make(chan struct{}), peers: map[string]Presence{}}
	if opts != nil {
		c.opts = *opts
	}
	if c.opts.Client == "" {
		c.opts.Client = annals.NewID().String()
	}
	if c.opts.Units == "" {
		c.opts.Units = CodePoints
	}
	if c.opts.Pause == 0 {
		c.opts.Pause = time.Second
	}
	c.s.client, c.s.pause, c.s.did = c.opts.Client, c.opts.Pause, c.moved
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = stop
	go c.run(run)
	if err := c.wait(ctx, func() bool { return c.fresh }); err != nil {
		c.Close()
		return nil, fmt.Errorf("open text at %s: %w", url, err)
	}
	return c, nil
}

// Text returns the text with everything that has been done here, and the
// version of the server's that it rests on.
func (c *Client) Text() (Text, uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.s.text, c.s.version
}

// Edit does the change that fn makes of the text as it is.
func (c *Client) Edit(fn func(now Text) Change) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	err := c.s.edit(fn(c.s.text), Typed, time.Now())
	c.tell()
	return err
}

// Undo takes back what this author did last, and leaves what others have done;
// it reports whether there was anything. Redo brings back what Undo took last.
func (c *Client) Undo() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.tell()
	return c.err == nil && c.s.undo(time.Now())
}

// Redo brings back what Undo has taken last, if nothing new has been done since.
func (c *Client) Redo() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.tell()
	return c.err == nil && c.s.redo(time.Now())
}

// Select shows others what is selected here: from anchor to head, equal for a caret.
func (c *Client) Select(anchor, head int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.caret = &caretMove{anchor, head}
	c.tell()
}

// Peers returns who else has the text open, by the names of their clients.
// Their carets are positions in the text as it is here.
func (c *Client) Peers() []Presence {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.SortedFunc(maps.Values(c.peers), func(a, b Presence) int { return strings.Compare(a.Client, b.Client) })
}

// SetOffline cuts the connection, and lets it be made again.
func (c *Client) SetOffline(offline bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offline = offline
	if offline && c.hangUp != nil {
		c.hangUp()
	}
	c.tell()
}

// Settle waits until the server has accepted everything that was done here.
func (c *Client) Settle(ctx context.Context) error {
	return c.wait(ctx, func() bool { return len(c.s.outgoing) == 0 })
}

// Reach waits until the server's text as of a version is here.
func (c *Client) Reach(ctx context.Context, version uint64) error {
	return c.wait(ctx, func() bool { return c.s.version >= version })
}

// Close ends the client. What was not sent is lost.
func (c *Client) Close() {
	c.stop()
	<-c.done
}

// wait waits until a condition, looked at under the lock, holds.
func (c *Client) wait(ctx context.Context, holds func() bool) error {
	for {
		c.mu.Lock()
		ok, err, changed := holds(), c.err, c.changed
		c.mu.Unlock()
		if ok || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.done:
			c.mu.Lock()
			defer c.mu.Unlock()
			return errors.Join(ErrClosed, c.err)
		}
	}
}

func (c *Client) tell() {
	close(c.changed)
	c.changed = make(chan struct{})
}

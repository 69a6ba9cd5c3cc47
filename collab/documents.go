package collab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/codec"
	"github.com/annals-db/annals/driver"
)

// Documents are the texts of a log, each in a stream of its own. They may be
// used by any number of goroutines; other processes may work on the same log.
type Documents struct {
	source driver.Log
	log    driver.ID
	limits driver.Limits
	opts   Options

	ctx  context.Context // of what runs for open documents
	stop context.CancelFunc

	mu     sync.Mutex
	open   map[string]*opening
	idle   []string // names of documents that nobody uses, the longest unused first
	closed bool
	work   sync.WaitGroup
}

// opening is a document that is open or being opened.
type opening struct {
	ready chan struct{}
	doc   *Document
	err   error
	users int
}

// Options are the options of [New].
type Options struct {
	// Category is that of the streams: the text "notes" is the stream
	// "text-notes". Defaults to "text".
	Category string
	// Codec encodes the events; what is in the log as plain JSON is read too.
	// Snapshots beside the log hold the text as it is. Defaults to JSON.
	Codec *codec.Pipeline
	// SnapshotEvery is the number of versions between two snapshots, which
	// bounds what opening a text and showing a past version take. Negative
	// keeps none. Defaults to 1,000.
	SnapshotEvery int
	// Pause parts what one author wrote into groups. Defaults to 30 s.
	Pause time.Duration
	// MaxLength is the most code points a text may have. Defaults to 1,000,000.
	MaxLength int
	// Idle is the number of texts kept in memory that nobody uses. Defaults to 32.
	Idle int
	// Logger is told what fails without harm, such as a snapshot. Defaults to silence.
	Logger *slog.Logger

	// tail is the least number of edits kept in memory, with the text before
	// each; older ones are read from the log. Defaults to 1,024.
	tail int
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	set := func(v *int, n int) {
		if *v == 0 {
			*v = n
		}
	}
	set(&d.SnapshotEvery, 1000)
	set(&d.MaxLength, 1_000_000)
	set(&d.Idle, 32)
	set(&d.tail, 1024)
	if d.Category == "" {
		d.Category = "text"
	}
	if d.Pause == 0 {
		d.Pause = 30 * time.Second
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return d
}

// New returns the texts of db's log.
func New(ctx context.Context, db *annals.DB, opts *Options) (*Documents, error) {
	info, err := db.Log().Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the texts of a log: %w", err)
	}
	d := &Documents{source: db.Log(), log: info.LogID, limits: info.Limits, opts: opts.withDefaults(), open: map[string]*opening{}}
	d.ctx, d.stop = context.WithCancel(context.WithoutCancel(ctx))
	d.work.Go(func() { d.watch(info.Head) })
	return d, nil
}

// names are what a text may be called: it stands in addresses and in stream names.
var names = regexp.MustCompile(`^[\pL\pN][\pL\pN._-]{0,99}$`)

// ErrName is wrapped when a text cannot have the name that was given.
var ErrName = errors.New("a text's name is 1 to 100 letters, digits, dots, dashes and underscores, the first a letter or digit")

// Open returns the text with a name, which is empty if nobody has written in
// it yet. It is the same for all who have it open; each calls [Document.Close].
func (d *Documents) Open(ctx context.Context, name string) (*Document, error) {
	if !names.MatchString(name) {
		return nil, ErrName
	}
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil, ErrClosed
	}
	o := d.open[name]
	if o == nil {
		o = &opening{ready: make(chan struct{})}
		d.open[name] = o
		d.work.Go(func() { d.load(name, o) })
	}
	o.users++
	d.unidle(name)
	d.mu.Unlock()
	select {
	case <-o.ready:
	case <-ctx.Done():
		d.release(name, o)
		return nil, ctx.Err()
	}
	if o.err != nil {
		d.release(name, o)
		return nil, fmt.Errorf("open text %q: %w", name, o.err)
	}
	return o.doc, nil
}

func (d *Documents) load(name string, o *opening) {
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		close(o.ready)
		d.retire(name, o)
	}()
	doc := &Document{docs: d, name: name, stream: d.opts.Category + "-" + name,
		submit: make(chan *submission), wake: make(chan struct{}, 1), changed: make(chan struct{}), presence: map[string]*present{}, accepted: map[editor]uint64{}}
	if o.err = doc.load(d.ctx); o.err != nil {
		d.mu.Lock()
		if d.open[name] == o {
			delete(d.open, name) // the next to open it tries again
		}
		d.mu.Unlock()
		return
	}
	doc.release = func() { d.release(name, o) }
	var ctx context.Context
	ctx, doc.stop = context.WithCancel(d.ctx)
	doc.ended = ctx.Done()
	doc.nudge()
	d.work.Go(func() { doc.run(ctx) })
	o.doc = doc
}

// release lets go of a document.
func (d *Documents) release(name string, o *opening) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o.users--
	d.retire(name, o)
}

// retire takes in that a document may be unused; that which was unused longest
// is dropped when too many are. The caller holds the lock.
func (d *Documents) retire(name string, o *opening) {
	select {
	case <-o.ready:
	default:
		return // load looks once more
	}
	if o.users > 0 || o.doc == nil || d.open[name] != o {
		return
	}
	d.idle = append(d.idle, name)
	if len(d.idle) > d.opts.Idle {
		d.open[d.idle[0]].doc.stop()
		delete(d.open, d.idle[0])
		d.idle = d.idle[1:]
	}
}

func (d *Documents) unidle(name string) {
	for i, n := range d.idle {
		if n == name {
			d.idle = append(d.idle[:i:i], d.idle[i+1:]...)
			return
		}
	}
}

// Close ends what runs for the texts and waits for it. The log stays open.
func (d *Documents) Close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.stop()
	d.work.Wait()
}

// watch wakes the documents that another process has appended to.
func (d *Documents) watch(seen driver.Position) {
	q := driver.Query{Items: []driver.Item{{Category: d.opts.Category}}}
	for d.ctx.Err() == nil {
		head, err := d.source.Wait(d.ctx, seen)
		if err == nil {
			for r, readErr := range d.source.Read(d.ctx, q, driver.ReadOptions{After: seen, UpTo: head}) {
				if err = readErr; err != nil {
					break
				}
				if name, named := strings.CutPrefix(r.Stream, d.opts.Category+"-"); named {
					d.wake(name, r.Version)
				}
			}
		}
		if err == nil {
			seen = head
			continue
		}
		if d.ctx.Err() == nil {
			d.opts.Logger.Warn("texts do not follow their log", "error", err)
		}
		select {
		case <-d.ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (d *Documents) wake(name string, version uint64) {
	d.mu.Lock()
	o := d.open[name]
	d.mu.Unlock()
	if o == nil {
		return
	}
	select {
	case <-o.ready:
	default:
		return // it looks once more when it has been loaded
	}
	if o.doc == nil {
		return
	}
	if _, known := o.doc.Text(); known < version {
		o.doc.nudge()
	}
}

package annals

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/annals-db/annals/codec"
	"github.com/annals-db/annals/driver"
)

// DB is the handle to one log. Make it with [New]. It may be used by any
// number of goroutines and needs no closing; the log does.
type DB struct {
	log       driver.Log
	versions  driver.Versioner // nil if the log is none
	opts      Options
	json      *codec.Pipeline
	pipelines map[string]*codec.Pipeline // by name
	cache     *cache
	gates     gates

	feeding sync.Mutex // guards feed
	feed    *feed      // nil while nobody subscribes
}

// Options are the options of [New].
type Options struct {
	// Logger is told what does not fail the caller, such as a snapshot that
	// could not be kept. Defaults to nil, silence.
	Logger *slog.Logger
	// Clock tells when a transaction's events occurred. Defaults to time.Now.
	Clock func() time.Time
	// Codec encodes the events of types that declare none of their own.
	// Defaults to JSON.
	Codec *codec.Pipeline
	// Decoders are further encodings that are met in the log, beside JSON,
	// Codec and those of the declared types. Defaults to none.
	Decoders []*codec.Pipeline
	// Attempts bounds how often Update runs its function when others win.
	// Defaults to 50.
	Attempts int
	// CacheEntities bounds how many states of entities and folds are kept, caught
	// up from the log at each load; below 0 keeps none. Defaults to 4,096.
	CacheEntities int
	// NoSnapshots neither reads nor writes snapshots. Defaults to false.
	NoSnapshots bool
	// ResolveTimeout bounds how long an append of unknown outcome is pursued
	// after the caller's context has ended. Defaults to 5 s.
	ResolveTimeout time.Duration
}

// New returns a handle to a log. A nil opts means the defaults.
func New(log driver.Log, opts *Options) *DB {
	db := &DB{log: log}
	db.versions, _ = log.(driver.Versioner)
	if opts != nil {
		db.opts = *opts
	}
	o := &db.opts
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	db.json = codec.Stack(codec.JSON)
	if o.Codec == nil {
		o.Codec = db.json
	}
	if o.Attempts <= 0 {
		o.Attempts = 50
	}
	if o.CacheEntities == 0 {
		o.CacheEntities = 4096
	}
	if o.ResolveTimeout <= 0 {
		o.ResolveTimeout = 5 * time.Second
	}
	db.pipelines = map[string]*codec.Pipeline{"": db.json}
	for _, p := range append(o.Decoders, o.Codec) {
		db.pipelines[p.Name()] = p
	}
	db.cache = newCache(o.CacheEntities)
	return db
}

// Log returns the log that db is a handle to.
func (db *DB) Log() driver.Log { return db.log }

// Now returns the time by [Options].Clock, UTC: that of a transaction that begins now.
func (db *DB) Now() time.Time { return db.opts.Clock().UTC().Round(0) }

// decode decodes e's payload into ptr; et is the event's type, nil for an old form.
func (db *DB) decode(e *driver.Event, et *eventType, ptr any) error {
	p, env, err := db.pipeline(e, et)
	if err != nil {
		return err
	}
	return p.Decode(e.Data, env, ptr)
}

// pipeline returns what e is encoded with, and the envelope it is bound to.
func (db *DB) pipeline(e *driver.Event, et *eventType) (*codec.Pipeline, codec.Envelope, error) {
	if e.Encoding == "" && (et == nil || et.pipeline == nil) {
		return db.json, codec.Envelope{}, nil
	}
	p := db.pipelines[e.Encoding]
	if et != nil && et.pipeline != nil && et.pipeline.Name() == e.Encoding {
		p = et.pipeline
	}
	if p == nil {
		known := []string{"json"}
		for name := range db.pipelines {
			if name != "" {
				known = append(known, name)
			}
		}
		slices.Sort(known)
		return nil, codec.Envelope{}, fmt.Errorf("it is encoded as %q, which is not among the known encodings: %s", e.Encoding, strings.Join(known, ", "))
	}
	if !p.Layered() {
		return p, codec.Envelope{}, nil
	}
	info, err := db.log.Info(context.Background())
	return p, codec.Envelope{Log: info.LogID, Stream: e.Stream, Type: e.Type, ID: e.ID}, err
}

func (db *DB) logID() (ID, error) {
	info, err := db.log.Info(context.Background())
	return info.LogID, err
}

// Decode returns the events that a record stands for: one, or what the
// upcasters of an old one make of it. It knows declared types and those of
// models; of another type's name it returns an error that wraps [ErrNotFound].
func (db *DB) Decode(r Record) ([]any, error) {
	s := types.named(r.Type)
	if s == nil {
		return nil, fmt.Errorf("position %d: event type %q: %w", r.Position, r.Type, ErrNotFound)
	}
	var et *eventType
	if s.upcast == nil {
		var err error
		if et, err = types.of(s.typ); err != nil {
			return nil, err
		}
	}
	ptr := s.new()
	if err := db.decode(&r.Event, et, ptr); err != nil {
		return nil, fmt.Errorf("position %d: event %q: %w", r.Position, r.Type, err)
	}
	if s.upcast == nil {
		return []any{deref(ptr)}, nil
	}
	events, err := types.upcasted(s, ptr)
	if err != nil {
		return nil, fmt.Errorf("position %d: event %q: %w", r.Position, r.Type, err)
	}
	return events, nil
}

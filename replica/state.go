package replica

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-db/annals/driver"
)

// state is the small state beside the log: a key-value bucket of the cluster,
// shared by all nodes. It fulfils driver.State. Its keys in the bucket:
//
//	lease               see lease
//	k.BASE64(key)       a value: 0x00 and the value itself, or 0x01, a
//	                    uvarint count and the name of its parts
//	p.NAME.N            part N of a value that is too large for one message
type state struct {
	s  *Store
	kv jetstream.KeyValue
}

var _ driver.State = (*state)(nil)

const (
	maxStateValue = 64 << 20

	wholeValue byte = 0
	partsValue byte = 1
)

func bucketName(name string) string { return "ANNALS_" + name }

// bucket finds or makes the bucket of the log. Its values are read from the
// leader, never from a server that may be behind.
func (s *Store) bucket(ctx context.Context) (jetstream.KeyValue, error) {
	config := jetstream.StreamConfig{
		Name:              "KV_" + bucketName(s.opts.Name),
		Description:       "the state beside an Annals log",
		Subjects:          []string{"$KV." + bucketName(s.opts.Name) + ".>"},
		Storage:           jetstream.FileStorage,
		Discard:           jetstream.DiscardNew,
		Replicas:          s.opts.Replicas,
		MaxMsgsPerSubject: 1,
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxMsgSize:        -1,
		MaxConsumers:      -1,
		AllowRollup:       true,
		DenyDelete:        true,
	}
	stream, err := s.findJS(ctx, config.Name)
	for errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = s.js.CreateStream(ctx, config)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			stream, err = s.findJS(ctx, config.Name)
		}
	}
	if err != nil {
		return nil, s.clusterError("the bucket of the state", err)
	}
	if c := stream.CachedInfo().Config; c.Storage != jetstream.FileStorage || c.Replicas < s.opts.Replicas || c.AllowDirect {
		return nil, &StreamError{Stream: config.Name, Faults: []string{fmt.Sprintf("storage %s, replicas %d, direct reads %t; want file, at least %d, false", c.Storage, c.Replicas, c.AllowDirect, s.opts.Replicas)}}
	}
	kv, err := s.js.KeyValue(ctx, bucketName(s.opts.Name))
	return kv, s.clusterError("the bucket of the state", err)
}

func stateKey(key string) string {
	return "k." + base64.RawURLEncoding.EncodeToString([]byte(key))
}

// usable returns a context that bounds a request, or an error.
func (d *state) usable(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if d.s.closed.Load() {
		return ctx, func() {}, driver.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return ctx, func() {}, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.s.opts.Timeout)
	return ctx, cancel, nil
}

// Load returns the value under key and its revision.
func (d *state) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	ctx, cancel, err := d.usable(ctx)
	defer cancel()
	if err != nil {
		return nil, 0, err
	}
	for {
		value, revision, err := d.load(ctx, key)
		if errors.Is(err, errReplaced) {
			continue
		}
		if err != nil {
			return nil, 0, fmt.Errorf("load state %q: %w", key, d.error(err))
		}
		return value, revision, nil
	}
}

// errReplaced says that a value's parts went while they were read.
var errReplaced = errors.New("the value was replaced meanwhile")

func (d *state) load(ctx context.Context, key string) ([]byte, uint64, error) {
	if key == "" {
		return nil, 0, driver.ErrNotFound
	}
	entry, err := d.kv.Get(ctx, stateKey(key))
	if err != nil {
		return nil, 0, err
	}
	value, parts, err := splitValue(entry.Value())
	if err != nil {
		return nil, 0, &driver.CorruptError{Place: d.kv.Bucket() + " " + stateKey(key), Reason: err.Error()}
	}
	for _, part := range parts {
		p, err := d.kv.Get(ctx, part)
		if errors.Is(err, jetstream.ErrKeyNotFound) || errors.Is(err, jetstream.ErrKeyDeleted) {
			if again, err := d.kv.Get(ctx, stateKey(key)); err == nil && again.Revision() == entry.Revision() {
				return nil, 0, &driver.CorruptError{Place: d.kv.Bucket() + " " + part, Reason: "a part of the value is missing"}
			}
			return nil, 0, errReplaced
		}
		if err != nil {
			return nil, 0, err
		}
		value = append(value, p.Value()...)
	}
	return value, entry.Revision(), nil
}

// splitValue returns the value in b, or the keys of its parts.
func splitValue(b []byte) (value []byte, parts []string, err error) {
	d := decoder{b: b}
	switch d.byte() {
	case wholeValue:
		if !d.bad {
			return slices.Clone(d.b), nil, nil
		}
	case partsValue:
		n, name := d.uvarint(), d.text()
		if d.end() == nil && n <= maxStateValue {
			for i := range n {
				parts = append(parts, fmt.Sprintf("p.%s.%d", name, i))
			}
			return nil, parts, nil
		}
	}
	return nil, nil, errDecode
}

// Save stores value if key's revision is expect.
func (d *state) Save(ctx context.Context, key string, value []byte, expect uint64) (uint64, error) {
	ctx, cancel, err := d.usable(ctx)
	defer cancel()
	if err != nil {
		return 0, err
	}
	if err := driver.ValidateState(key, value); err != nil {
		return 0, err
	}
	old := d.partsOf(ctx, key, expect)
	data, err := d.store(ctx, value)
	var revision uint64
	if err == nil {
		revision, err = d.write(ctx, key, data, expect)
	}
	if err != nil {
		return 0, fmt.Errorf("save state %q: %w", key, d.error(err))
	}
	d.drop(ctx, old)
	return revision, nil
}

// partsOf returns the parts of the value that is about to go.
func (d *state) partsOf(ctx context.Context, key string, expect uint64) []string {
	if expect == 0 {
		return nil
	}
	entry, err := d.kv.Get(ctx, stateKey(key))
	if err != nil || expect != driver.AnyRevision && entry.Revision() != expect {
		return nil
	}
	_, parts, _ := splitValue(entry.Value())
	return parts
}

// store returns what is to be under the key of value, whose parts, if it is
// large, are put beside it first.
func (d *state) store(ctx context.Context, value []byte) ([]byte, error) {
	size := d.s.payload() - 1024
	if len(value) <= size {
		return append([]byte{wholeValue}, value...), nil
	}
	name, n := uuid.NewString(), uint64(0)
	for ; len(value) > 0; n++ {
		part := value[:min(size, len(value))]
		if _, err := d.kv.Create(ctx, fmt.Sprintf("p.%s.%d", name, n), part); err != nil {
			return nil, err
		}
		value = value[len(part):]
	}
	return appendText(binary.AppendUvarint([]byte{partsValue}, n), name), nil
}

// drop removes parts that no value names any more. One that stays takes up room, no more.
func (d *state) drop(ctx context.Context, parts []string) {
	for _, p := range parts {
		_ = d.kv.Purge(ctx, p)
	}
}

func (d *state) write(ctx context.Context, key string, data []byte, expect uint64) (uint64, error) {
	switch expect {
	case 0:
		return d.kv.Create(ctx, stateKey(key), data)
	case driver.AnyRevision:
		return d.kv.Put(ctx, stateKey(key), data)
	}
	return d.kv.Update(ctx, stateKey(key), data, expect)
}

// Delete removes key if its revision is expect.
func (d *state) Delete(ctx context.Context, key string, expect uint64) error {
	ctx, cancel, err := d.usable(ctx)
	defer cancel()
	if err != nil {
		return err
	}
	err = d.remove(ctx, key, expect)
	if err != nil {
		return fmt.Errorf("delete state %q: %w", key, d.error(err))
	}
	return nil
}

func (d *state) remove(ctx context.Context, key string, expect uint64) error {
	old := d.partsOf(ctx, key, expect)
	if expect != driver.AnyRevision {
		entry, err := d.kv.Get(ctx, stateKey(key))
		switch {
		case errors.Is(err, jetstream.ErrKeyNotFound) && expect == 0:
			return nil
		case err != nil && !errors.Is(err, jetstream.ErrKeyNotFound):
			return err
		case err != nil || entry.Revision() != expect:
			return driver.ErrRevision
		}
		if err := d.kv.Delete(ctx, stateKey(key), jetstream.LastRevision(expect)); err != nil {
			return err
		}
	} else if err := d.kv.Delete(ctx, stateKey(key)); err != nil {
		return err
	}
	d.drop(ctx, old)
	return nil
}

// Keys yields the keys that begin with prefix, in order.
func (d *state) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		keys, err := d.keys(ctx, prefix)
		for _, k := range keys {
			if err = ctx.Err(); err != nil {
				break
			}
			if !yield(k, nil) {
				return
			}
		}
		if err != nil {
			yield("", err)
		}
	}
}

func (d *state) keys(ctx context.Context, prefix string) ([]string, error) {
	ctx, cancel, err := d.usable(ctx)
	defer cancel()
	if err != nil {
		return nil, err
	}
	list, err := d.kv.ListKeysFiltered(ctx, "k.>")
	if err != nil {
		return nil, d.error(err)
	}
	defer func() { _ = list.Stop() }()
	var keys []string
	for k := range list.Keys() {
		name, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(k, "k."))
		if err != nil {
			continue // not ours
		}
		if strings.HasPrefix(string(name), prefix) {
			keys = append(keys, string(name))
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	slices.Sort(keys)
	return slices.Compact(keys), nil
}

// error returns err in the words of the contract.
func (d *state) error(err error) error {
	var api *jetstream.APIError
	var damage *driver.CorruptError
	switch {
	case d.s.closed.Load():
		return driver.ErrClosed
	case errors.Is(err, driver.ErrNotFound), errors.Is(err, jetstream.ErrKeyNotFound):
		return driver.ErrNotFound
	case errors.Is(err, driver.ErrRevision), errors.As(err, &damage), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, jetstream.ErrKeyExists), errors.As(err, &api) && isWrongSequence(api):
		return fmt.Errorf("%w: %w", driver.ErrRevision, err)
	}
	return d.s.clusterError("the bucket of the state", err)
}

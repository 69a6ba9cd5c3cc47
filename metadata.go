package annals

import (
	"context"
	"slices"
	"strings"

	"github.com/annals-db/annals/driver"
)

type metadataKey struct{}

// WithMetadata returns a context that gives the events recorded under it the
// metadata value under key, beside what ctx gives already. An empty value
// takes the key away.
func WithMetadata(ctx context.Context, key, value string) context.Context {
	old := metadataOf(ctx)
	md := make(Metadata, 0, len(old)+1)
	for _, p := range old {
		if p.Key != key {
			md = append(md, p)
		}
	}
	if value != "" {
		md = append(md, driver.Pair{Key: key, Value: value})
	}
	slices.SortFunc(md, func(a, b driver.Pair) int { return strings.Compare(a.Key, b.Key) })
	return context.WithValue(ctx, metadataKey{}, md)
}

// WithActor says who acts: metadata "actor".
func WithActor(ctx context.Context, actor string) context.Context {
	return WithMetadata(ctx, "actor", actor)
}

// WithCorrelation names the larger doing that what follows is part of:
// metadata "correlation".
func WithCorrelation(ctx context.Context, id string) context.Context {
	return WithMetadata(ctx, "correlation", id)
}

// WithCause says that what follows is done because of r: metadata "causation"
// is its ID, and "correlation" is that of r, or its ID where it has none.
func WithCause(ctx context.Context, r Record) context.Context {
	correlation := r.Metadata.Value("correlation")
	if correlation == "" {
		correlation = r.ID.String()
	}
	return WithMetadata(WithCorrelation(ctx, correlation), "causation", r.ID.String())
}

// Actor returns who acts under ctx, "" if it does not say.
func Actor(ctx context.Context) string { return metadataOf(ctx).Value("actor") }

// Meta gives one event the metadata value under key, beside what the context
// gives all of them.
func Meta(key, value string) RecordOption {
	return func(e *driver.Event) {
		md := slices.DeleteFunc(slices.Clone(e.Metadata), func(p driver.Pair) bool { return p.Key == key })
		md = append(md, driver.Pair{Key: key, Value: value})
		slices.SortFunc(md, func(a, b driver.Pair) int { return strings.Compare(a.Key, b.Key) })
		e.Metadata = md
	}
}

func metadataOf(ctx context.Context) Metadata {
	md, _ := ctx.Value(metadataKey{}).(Metadata)
	if len(md) == 0 {
		return nil
	}
	return md
}

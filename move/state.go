package move

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/annals-db/annals/driver"
)

// state copies the keys of the source's state whose values the copy does not
// have. Where one of the two keeps no state there is nothing to do.
func (c *copier) state(ctx context.Context) error {
	to, ok := c.to.(driver.Stater)
	if !ok || c.opts.NewLog {
		return nil
	}
	source, target := driver.StateOf(c.from), to.State()
	if source == nil || target == nil {
		return nil
	}
	for key, err := range source.Keys(ctx, "") {
		if err != nil {
			return fmt.Errorf("the source's state: %w", err)
		}
		if err := c.key(ctx, source, target, key); err != nil {
			return fmt.Errorf("state %q: %w", key, err)
		}
	}
	return nil
}

func (c *copier) key(ctx context.Context, source, target driver.State, key string) error {
	value, _, err := source.Load(ctx, key)
	if errors.Is(err, driver.ErrNotFound) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return err
	}
	there, _, err := target.Load(ctx, key)
	if err == nil && bytes.Equal(there, value) || err != nil && !errors.Is(err, driver.ErrNotFound) {
		return err
	}
	if _, err := target.Save(ctx, key, value, driver.AnyRevision); err != nil {
		return err
	}
	c.result.State++
	return nil
}

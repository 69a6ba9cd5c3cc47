package memstore

import (
	"context"

	"github.com/annals-db/annals/driver"
)

// Submit appends b at once; the answer is there when it returns.
func (s *Store) Submit(ctx context.Context, b driver.Batch) func() (driver.Receipt, error) {
	receipt, err := s.Append(ctx, b)
	return func() (driver.Receipt, error) { return receipt, err }
}

package driver

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
)

// TreeHead returns log's tree head at p in hexadecimal, as checkpoints keep
// it; "" where log is no [Hasher].
func TreeHead(ctx context.Context, log Log, p Position) (string, error) {
	h, ok := log.(Hasher)
	if !ok {
		return "", nil
	}
	sum, err := h.TreeHead(ctx, p)
	if errors.Is(err, errors.ErrUnsupported) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("tree head at position %d: %w", p, err)
	}
	return hex.EncodeToString(sum[:]), nil
}

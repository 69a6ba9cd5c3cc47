package audit

import (
	"bufio"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/merkle"
)

// Seal is the running hash of a log at a position: it proves every event up to
// there. Kept where who can write the log cannot, it shows any later change.
type Seal struct {
	LogID    driver.ID       `json:"log_id"`
	Position driver.Position `json:"position"`
	Hash     string          `json:"hash"` // RFC 6962 tree head, hexadecimal
	Time     time.Time       `json:"time"` // when it was taken
}

// TakeSeal returns the seal of log as it is now.
func TakeSeal(ctx context.Context, log driver.Log) (Seal, error) {
	info, err := log.Info(ctx)
	if err != nil {
		return Seal{}, err
	}
	s := Seal{LogID: info.LogID, Position: info.Head, Time: time.Now().UTC()}
	if h, ok := log.(driver.Hasher); ok {
		head, err := h.TreeHead(ctx, info.Head)
		s.Hash = hex.EncodeToString(head[:])
		return s, err
	}
	r := merkle.NewRange(0)
	if err := hashUpTo(ctx, log, r, info.Head); err != nil {
		return Seal{}, err
	}
	head, err := r.Root()
	s.Hash = hex.EncodeToString(head[:])
	return s, err
}

// TamperedError says that the log is not what a seal proves.
type TamperedError struct {
	Seal   Seal
	Reason string
	// Whole is the position of the last seal that holds, 0 if none does: what
	// was changed lies behind it.
	Whole driver.Position
}

func (e *TamperedError) Error() string {
	return fmt.Sprintf("the log was changed: %s; up to position %d it is whole", e.Reason, e.Whole)
}

// CheckSeals reads every event of log again and compares it with seals. It
// uses nothing that the store itself keeps about its hashes, so that it finds what
// someone changed who can rewrite the whole store. It returns a *[TamperedError] for the first seal that does not
// hold, and how many do.
func CheckSeals(ctx context.Context, log driver.Log, seals []Seal) (held int, err error) {
	info, err := log.Info(ctx)
	if err != nil {
		return 0, err
	}
	seals = slices.Clone(seals)
	slices.SortStableFunc(seals, func(a, b Seal) int { return cmp.Compare(a.Position, b.Position) })
	r, whole := merkle.NewRange(0), driver.Position(0)
	for _, s := range seals {
		tampered := func(format string, args ...any) error {
			return &TamperedError{Seal: s, Reason: fmt.Sprintf(format, args...), Whole: whole}
		}
		switch {
		case s.LogID != info.LogID:
			return held, tampered("the seal is of log %s, and this is log %s", s.LogID, info.LogID)
		case s.Position > info.Head:
			return held, tampered("it was sealed up to position %d at %s, and ends at %d", s.Position, s.Time.Format(time.RFC3339), info.Head)
		}
		err := hashUpTo(ctx, log, r, s.Position)
		var corrupt *driver.CorruptError
		if errors.As(err, &corrupt) {
			return held, tampered("%v", err)
		}
		if err != nil {
			return held, err
		}
		head, err := r.Root()
		if err != nil {
			return held, err
		}
		if got := hex.EncodeToString(head[:]); got != s.Hash {
			return held, tampered("at position %d its running hash was %s at %s, and is %s", s.Position, s.Hash, s.Time.Format(time.RFC3339), got)
		}
		held, whole = held+1, s.Position
	}
	return held, nil
}

// hashUpTo adds the leaves of the records up to a position to r.
func hashUpTo(ctx context.Context, log driver.Log, r *merkle.Range, upTo driver.Position) error {
	if driver.Position(r.End()) >= upTo {
		return nil
	}
	var h merkle.Hasher
	for rec, err := range log.Read(ctx, driver.Query{}, driver.ReadOptions{After: driver.Position(r.End()), UpTo: upTo}) {
		if err != nil {
			return err
		}
		r.Append(h.Leaf(&rec))
	}
	return nil
}

// ReadSeals reads seals, one a line as JSON. A last line that is not whole, which a
// crash can leave, is passed over; nothing else is.
func ReadSeals(r io.Reader) (seals []Seal, err error) {
	b := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := b.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return seals, nil
		}
		if err != nil {
			return seals, err
		}
		var s Seal
		if err := json.Unmarshal(line, &s); err != nil {
			return seals, fmt.Errorf("line %d is not a seal: %w", n, err)
		}
		seals = append(seals, s)
	}
}

// sealStream is where another log keeps seals.
const sealStream = "annals.seals"

// KeepSeal appends s to another log.
func KeepSeal(ctx context.Context, log driver.Log, s Seal) error {
	_, err := log.Append(ctx, driver.Batch{Events: []driver.Event{{ID: uuid.Must(uuid.NewV7()), Stream: sealStream, Type: "TrailSealed", Data: mustJSON(s)}}})
	return err
}

// KeptSeals returns the seals that another log keeps.
func KeptSeals(ctx context.Context, log driver.Log) (seals []Seal, err error) {
	for r, err := range log.Read(ctx, driver.Query{Items: []driver.Item{{Streams: []string{sealStream}}}}, driver.ReadOptions{}) {
		if err != nil {
			return seals, err
		}
		var s Seal
		if err := json.Unmarshal(r.Data, &s); err != nil {
			return seals, fmt.Errorf("event at position %d is not a seal: %w", r.Position, err)
		}
		seals = append(seals, s)
	}
	return seals, nil
}

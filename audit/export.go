package audit

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
)

// Manifest says what an export is and proves it: the hash of each file, and the
// seal of the log that it was taken from.
type Manifest struct {
	Origin  Origin         `json:"origin"`
	Filter  string         `json:"filter"` // what was asked for, in words
	Seal    Seal           `json:"seal"`
	Changes int            `json:"changes"`
	Files   []ManifestFile `json:"files"`
	Made    time.Time      `json:"made"`
}

// ManifestFile is a file of an export.
type ManifestFile struct {
	Name   string `json:"name"`
	Lines  int    `json:"lines"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Export writes the changes that f means to dir, which it makes: changes.jsonl
// with a [Change] a line, manifest.json, and SHA256SUMS, by which sha256sum -c checks both.
func (t *Trail) Export(ctx context.Context, dir string, f Filter, words string) (m Manifest, err error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return m, fmt.Errorf("export: %w", err)
	}
	seal, err := TakeSeal(ctx, t.log)
	if err != nil {
		return m, fmt.Errorf("export: %w", err)
	}
	m = Manifest{Origin: t.Started, Filter: words, Seal: seal, Made: time.Now().UTC()}
	file, err := writeFile(dir, "changes.jsonl", func(w io.Writer) (lines int, err error) {
		for c, err := range t.Changes(ctx, f) {
			if err != nil {
				return lines, err
			}
			if c.Position > seal.Position {
				break // it came after the seal
			}
			line, err := c.MarshalJSON()
			if err != nil {
				return lines, err
			}
			if _, err := w.Write(append(line, '\n')); err != nil {
				return lines, err
			}
			lines++
		}
		return lines, nil
	})
	if err != nil {
		return m, fmt.Errorf("export: %w", err)
	}
	m.Changes, m.Files = file.Lines, []ManifestFile{file}
	manifest, err := writeFile(dir, "manifest.json", func(w io.Writer) (int, error) {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return 0, e.Encode(m)
	})
	if err != nil {
		return m, fmt.Errorf("export: %w", err)
	}
	_, err = writeFile(dir, "SHA256SUMS", func(w io.Writer) (int, error) {
		_, err := fmt.Fprintf(w, "%s  %s\n%s  %s\n", file.SHA256, file.Name, manifest.SHA256, manifest.Name)
		return 2, err
	})
	return m, err
}

// writeFile writes a file and hashes it.
func writeFile(dir, name string, write func(io.Writer) (int, error)) (m ManifestFile, err error) {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return m, err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	sum, count := sha256.New(), &counter{}
	b := bufio.NewWriterSize(io.MultiWriter(f, sum, count), 1<<16)
	lines, err := write(b)
	if err == nil {
		err = b.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	return ManifestFile{Name: name, Lines: lines, Bytes: count.n, SHA256: hex.EncodeToString(sum.Sum(nil))}, err
}

type counter struct{ n int64 }

func (c *counter) Write(b []byte) (int, error) {
	c.n += int64(len(b))
	return len(b), nil
}

// Reading is a question that someone asked of the trail.
type Reading struct {
	By       string `json:"by"`               // who asked, as far as it is known
	Reason   string `json:"reason,omitempty"` // why, as he says
	Question string `json:"question"`         // in words
	// Position is up to where the trail was read.
	Position driver.Position `json:"position"`
}

// RecordReading records in log, the trail's own or another, that a question was
// asked. An answer is given only after it returned nil.
func (t *Trail) RecordReading(ctx context.Context, log driver.Log, r Reading) error {
	info, err := t.log.Info(ctx)
	if err != nil {
		return err
	}
	r.Position = info.Head
	e := driver.Event{ID: uuid.Must(uuid.NewV7()), Stream: "annals.readings", Type: "TrailRead", Data: mustJSON(r),
		Metadata: driver.NewMetadata(map[string]string{"actor": r.By, "reason": r.Reason})}
	if r.Reason == "" {
		e.Metadata = driver.NewMetadata(map[string]string{"actor": r.By})
	}
	if _, err := log.Append(ctx, driver.Batch{Events: []driver.Event{e}}); err != nil {
		return fmt.Errorf("record that the trail is read: %w", err)
	}
	return nil
}

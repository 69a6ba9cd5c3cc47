package projection

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/annals-db/annals"
)

// What is kept in a target, as JSON under these keys:
//
//	projection/NAME                        registration
//	projection/NAME/VERSION/at/N           checkpoint of partition N
//	projection/NAME/VERSION/dead/POSITION  Letter, POSITION with leading zeros
//	projection/NAME/VERSION/parked/KEY     how many letters KEY has
//	projection/NAME/VERSION/ask/ID         request
//	projection/NAME/do/ID                  an action that is not in the log yet
const root = "projection/"

func registrationKey(name string) string { return root + name }
func versionKey(name, version string) string {
	return root + name + "/" + version + "/"
}
func checkpointKey(name, version string, partition int) string {
	return fmt.Sprintf("%sat/%04d", versionKey(name, version), partition)
}
func letterKey(name, version string, p annals.Position) string {
	return fmt.Sprintf("%sdead/%020d", versionKey(name, version), p)
}
func parkedKey(name, version, key string) string {
	if len(key) > 500 || !utf8.ValidString(key) || strings.Contains(key, "\x00") {
		sum := sha256.Sum256([]byte(key))
		key = "sha256:" + hex.EncodeToString(sum[:])
	}
	return versionKey(name, version) + "parked/" + key
}
func requestKey(name, version, id string) string { return versionKey(name, version) + "ask/" + id }
func actionKey(name, id string) string           { return root + name + "/do/" + id }

// registration is what is known of a projection.
type registration struct {
	Live     string              `json:"live"`
	Versions map[string]*version `json:"versions"`
}

// State is what a version of a projection is.
type State string

// The states of a version.
const (
	Live     State = "live"     // readers see it
	Building State = "building" // catches up beside the live one
	Retired  State = "retired"  // was live; nothing runs it
)

// version is what is known of one version of a projection.
type version struct {
	State      State     `json:"state"`
	Partitions int       `json:"partitions"`
	Tables     []Table   `json:"tables,omitempty"`
	Paused     bool      `json:"paused,omitempty"`
	Hold       *hold     `json:"hold,omitempty"`
	Epoch      int       `json:"epoch"` // counts resets
	Inline     bool      `json:"inline,omitempty"`
	Registered time.Time `json:"registered"`
}

// hold lets a version go no further, so that two can be compared.
type hold struct {
	At    annals.Position `json:"at"`
	Until time.Time       `json:"until"`
}

// checkpoint says how far a partition is, and in which history.
type checkpoint struct {
	Log      annals.ID       `json:"log"`
	Position annals.Position `json:"position"`
	Time     time.Time       `json:"time"` // the log's, of what was handled last
	// Last is the record handled last, and its leaf hash.
	Last annals.Position `json:"last,omitempty"`
	Leaf string          `json:"leaf,omitempty"`
	// Head is the log's tree head as of HeadAt, taken whenever the partition has caught up.
	HeadAt  annals.Position `json:"head_at,omitempty"`
	Head    string          `json:"head,omitempty"`
	Parked  int             `json:"parked,omitempty"` // dead letters
	Failure *Failure        `json:"failure,omitempty"`
	Updated time.Time       `json:"updated"`
}

// Failure is an event that a projection does not get past.
type Failure struct {
	Position annals.Position `json:"position"`
	Stream   string          `json:"stream,omitempty"`
	Type     string          `json:"type"`
	Error    string          `json:"error"`
	Attempts int             `json:"attempts"`
	Stopped  bool            `json:"stopped"` // it is not tried again
	Time     time.Time       `json:"time"`
}

// load reads the JSON under key into a new V, nil if there is none.
func load[V any](ctx context.Context, read func(context.Context, string) ([]byte, error), key string) (*V, error) {
	b, err := read(ctx, key)
	if err != nil || b == nil {
		return nil, err
	}
	v := new(V)
	if err := json.Unmarshal(b, v); err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return v, nil
}

func save(ctx context.Context, k Keys, key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return k.Save(ctx, key, b)
}

// list reads the JSON under the keys with a prefix.
func list[V any](ctx context.Context, k Keys, prefix string) ([]V, error) {
	pairs, err := k.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	out := make([]V, len(pairs))
	for i, p := range pairs {
		if err := json.Unmarshal(p.Value, &out[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Key, err)
		}
	}
	return out, nil
}

// registrations returns all of them by name.
func registrations(ctx context.Context, k Keys) (map[string]*registration, error) {
	pairs, err := k.List(ctx, root)
	if err != nil {
		return nil, err
	}
	all := map[string]*registration{}
	for _, p := range pairs {
		name := strings.TrimPrefix(p.Key, root)
		if strings.Contains(name, "/") {
			continue
		}
		r := new(registration)
		if err := json.Unmarshal(p.Value, r); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Key, err)
		}
		all[name] = r
	}
	return all, nil
}

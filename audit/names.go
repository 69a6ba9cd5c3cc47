package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// The types of the events of a row.
const (
	RowFound     = "RowFound"
	RowInserted  = "RowInserted"
	RowUpdated   = "RowUpdated"
	RowDeleted   = "RowDeleted"
	RowTruncated = "RowTruncated"
	RowLeftOut   = "RowLeftOut"
	RowReread    = "RowReread"
)

// The types of the events of a table.
const (
	TableDescribed = "TableDescribed"
	SchemaChanged  = "SchemaChanged"
	TableTruncated = "TableTruncated"
	TableDropped   = "TableDropped"
	TableLeftOut   = "TableLeftOut"
)

// The types of the events of the capture. Those up to partsAbandoned close what
// is before them; what follows the last of these is not complete.
const (
	captureStarted       = "CaptureStarted"
	transactionCommitted = "TransactionCommitted"
	snapshotCompleted    = "SnapshotCompleted"
	rereadChunk          = "RereadChunk"
	rereadCompleted      = "RereadCompleted"
	tablesChosen         = "TablesChosen"
	partsAbandoned       = "PartsAbandoned"

	transactionPart = "TransactionPart"
	snapshotBegun   = "SnapshotBegun"
	snapshotPart    = "SnapshotPart"
)

// captureCategory is the category of the stream of the capture.
const captureCategory = "annals.audit"

// maxKey is the most bytes of a key in a stream's name; of a longer one the hash is taken.
const maxKey = 700

// TableStream returns the stream of a table. "-", ".", "%" and control
// characters in a name are written %2D and so on.
func TableStream(schema, table string) string {
	return escape(schema, "-.%") + "." + escape(table, "-.%")
}

// RowStream returns the stream of a row: that of its table, a dash, and the
// text forms of its key's columns, separated by commas. "," and "%" in one are
// written %2C and %25. A key of more than 700 bytes is "sha256:" and its hash.
func RowStream(schema, table string, key ...string) string {
	return TableStream(schema, table) + "-" + joinKey(key)
}

func joinKey(key []string) string {
	var b strings.Builder
	for i, k := range key {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(escape(k, ",%"))
	}
	if b.Len() > maxKey {
		sum := sha256.Sum256([]byte(b.String()))
		return "sha256:" + hex.EncodeToString(sum[:])
	}
	return b.String()
}

// escape writes the bytes of special and control characters in s as %XX.
func escape(s, special string) string {
	plain := func(c byte) bool { return c >= 0x20 && c != 0x7f && strings.IndexByte(special, c) < 0 }
	for i := range len(s) {
		if !plain(s[i]) {
			var b strings.Builder
			for i := range len(s) {
				if plain(s[i]) {
					b.WriteByte(s[i])
				} else {
					fmt.Fprintf(&b, "%%%02X", s[i])
				}
			}
			return b.String()
		}
	}
	return s
}

// Name is the name of a table.
type Name struct{ Schema, Table string }

// ParseName reads schema.table, or table for public.table; either part may be
// in double quotes, as in SQL, and is taken as it is otherwise.
func ParseName(s string) (Name, error) {
	first, rest, err := identifier(s)
	if err != nil {
		return Name{}, err
	}
	if rest == "" {
		return Name{"public", first}, nil
	}
	second, rest, err := identifier(rest[1:])
	if err != nil || rest != "" {
		return Name{}, fmt.Errorf("%q is not the name of a table: write table or schema.table", s)
	}
	return Name{first, second}, nil
}

// identifier returns the first part of a name and what follows, which begins with a dot.
func identifier(s string) (name, rest string, err error) {
	bad := fmt.Errorf("%q is not the name of a table: write table or schema.table", s)
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexByte(s, '.')
		if end < 0 {
			end = len(s)
		}
		if end == 0 {
			return "", "", bad
		}
		return s[:end], s[end:], nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] != '"':
			b.WriteByte(s[i])
		case i+1 < len(s) && s[i+1] == '"':
			b.WriteByte('"')
			i++
		case b.Len() == 0 || i+1 < len(s) && s[i+1] != '.':
			return "", "", bad
		default:
			return b.String(), s[i+1:], nil
		}
	}
	return "", "", bad
}

// String returns schema.table.
func (n Name) String() string { return n.Schema + "." + n.Table }

// SQL returns n quoted as SQL needs it.
func (n Name) SQL() string { return quote(n.Schema) + "." + quote(n.Table) }

// Stream returns the stream of the table.
func (n Name) Stream() string { return TableStream(n.Schema, n.Table) }

// quote quotes an identifier.
func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// literal quotes a text of SQL.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

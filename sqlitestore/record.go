package sqlitestore

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	sqlite3 "github.com/ncruces/go-sqlite3"

	"github.com/annals-db/annals/driver"
)

// The columns of a record, in the order of columns.
const (
	colPosition = iota
	colLeaf
	colID
	colBatch
	colStream
	colVersion
	colType
	colTime
	colOccurred
	colEncoding
	colTags
	colMetadata
	colConditions
	colData
)

// decode makes the record of the row that stmt is at, and checks it against
// its leaf.
func (c *conn) decode(stmt *sqlite3.Stmt) (driver.Record, error) {
	p := driver.Position(stmt.ColumnInt64(colPosition))
	r, leaf, err := c.fields(stmt)
	if err == nil && leaf != c.hasher.Leaf(&r) {
		err = &damage{"what is stored is not what was appended: it does not hash to its leaf"}
	}
	if err != nil {
		return driver.Record{}, corruption(p, err)
	}
	return r, nil
}

// fields makes the record of the row that stmt is at, unchecked.
func (c *conn) fields(stmt *sqlite3.Stmt) (r driver.Record, leaf [32]byte, err error) {
	r.Position = driver.Position(stmt.ColumnInt64(colPosition))
	r.Batch = driver.Position(stmt.ColumnInt64(colBatch))
	r.Version = uint64(stmt.ColumnInt64(colVersion))
	r.Time = instant(stmt.ColumnInt64(colTime))
	if stmt.ColumnType(colOccurred) != sqlite3.NULL {
		r.Occurred = instant(stmt.ColumnInt64(colOccurred))
	}
	r.Encoding = stmt.ColumnText(colEncoding)
	r.Data = bytes.Clone(stmt.ColumnRawBlob(colData))
	if copy(leaf[:], stmt.ColumnRawBlob(colLeaf)) != len(leaf) || copy(r.ID[:], stmt.ColumnRawBlob(colID)) != len(r.ID) {
		return r, leaf, &damage{"its leaf or ID is too short"}
	}
	if stmt.ColumnType(colStream) != sqlite3.NULL {
		if r.Stream, err = c.names.of(c, stmt.ColumnInt64(colStream)); err != nil {
			return r, leaf, err
		}
	}
	if r.Type, err = c.names.of(c, stmt.ColumnInt64(colType)); err != nil {
		return r, leaf, err
	}
	if r.Tags, err = c.tags(stmt.ColumnRawText(colTags)); err != nil {
		return r, leaf, err
	}
	if text := stmt.ColumnRawText(colMetadata); len(text) > 0 {
		if r.Metadata, err = c.parser.Metadata(text); err != nil {
			return r, leaf, &damage{"its metadata: " + err.Error()}
		}
	}
	if text := stmt.ColumnRawText(colConditions); len(text) > 0 {
		if r.Conditions, err = c.parser.Conditions(text); err != nil {
			return r, leaf, &damage{"its conditions: " + err.Error()}
		}
	}
	return r, leaf, stmt.Err()
}

// tags returns the names of the keys in text, which appendKeys has written.
func (c *conn) tags(text []byte) ([]string, error) {
	if len(text) == 0 {
		return nil, nil
	}
	body, ok := bytes.CutPrefix(text, []byte("["))
	body, ok2 := bytes.CutSuffix(body, []byte("]"))
	if !ok || !ok2 {
		return nil, &damage{fmt.Sprintf("its tags are %q", text)}
	}
	keys := make([]int64, 0, 8) // read before the names are, as text is only valid until then
	for part := range bytes.SplitSeq(body, []byte(",")) {
		key, err := strconv.ParseInt(string(part), 10, 64)
		if err != nil {
			return nil, &damage{fmt.Sprintf("its tags are %q", text)}
		}
		keys = append(keys, key)
	}
	names := make([]string, len(keys))
	for i, key := range keys {
		var err error
		if names[i], err = c.names.of(c, key); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// appendKey appends one more key to a list that begins with [ and misses its end.
func appendKey(b []byte, key int64) []byte {
	if len(b) == 0 {
		b = append(b, '[')
	} else {
		b = append(b, ',')
	}
	return strconv.AppendInt(b, key, 10)
}

func instant(nano int64) time.Time { return time.Unix(0, nano).UTC() }

// at returns the record at p, which is at or before the head.
func (c *conn) at(p driver.Position) (r driver.Record, err error) {
	found := false
	var bad error
	err = each(c.record, func() bool {
		found = true
		r, bad = c.decode(c.record)
		return false
	}, p)
	switch {
	case bad != nil:
		return r, bad
	case err != nil:
		return r, corruption(p, err)
	case !found:
		return r, corruption(p, &damage{"it is missing"})
	}
	return r, nil
}

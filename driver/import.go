package driver

import "context"

// Importer is a log that takes records as another log has decided them: a
// copy that comes out equal, tree head included.
type Importer interface {
	// Import appends whole batches in order, the first record at the position
	// behind the head, each record with its position, version, time, batch and
	// conditions as they are. IDs and conditions are not looked at. It returns
	// when they are as durable as appends are. A record that does not continue
	// the log is an *[InvalidError] with the Index of the record; whole batches
	// before it may have been appended.
	Import(ctx context.Context, records []Record) error
}

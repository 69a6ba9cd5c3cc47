// Package audit keeps the audit trail of a live PostgreSQL in a log: every
// insert, update, delete and truncate of chosen tables, with before and after,
// who and why, and answers what an auditor asks of it.
//
// [Check] says what a database still lacks for it, and the statements that
// mend it; [Apply] executes them. [Capture] follows the database into a log
// until its context ends, and can be stopped or killed at any time:
//
//	log, err := filestore.Open("trail", nil)
//	err = audit.Capture(ctx, "postgres://…/shop", log, nil)
//
// [Open] gives the trail in a log, for questions: [Trail.Changes] is the
// history of a row, a column, a person, a time span or a transaction,
// [Trail.Table] a table as it was, [Trail.Blame] who last set each value of a
// row, [Trail.Difference] what differs between two times. [Verify] compares
// the tables rebuilt from the trail with the live ones.
//
// # What is in the log
//
// A row is a stream, named schema.table-key ([RowStream]). Its events are
//
//	RowFound      it was there when the trail began
//	RowInserted   RowUpdated   RowDeleted
//	RowTruncated  its table was truncated or dropped
//	RowLeftOut    its table was left out of the trail; what became of it is not known
//	RowReread     it was read again, after its table was rewritten or taken in
//
// with the data {"after":{…},"before":{…}}: after is the whole row, before the
// whole row that a delete or truncate took away, or of an update the old
// values of the columns that it changed. A change of the key is a RowDeleted with
// "moved_to" and a RowInserted with "moved_from". A value is NULL, as null, or a string: the text
// form that PostgreSQL gives it, with every digit, under the settings DateStyle
// ISO, TimeZone UTC, IntervalStyle postgres, extra_float_digits 3, bytea_output
// hex, lc_monetary C. So numbers are strings too.
//
// A table has a stream of its own, schema.table, with TableDescribed,
// SchemaChanged, TableTruncated, TableDropped and TableLeftOut. And the stream annals.audit-N,
// where N is the server's system identifier, is the account of the capture
// itself: one event at the end of each append, TransactionCommitted for the
// most part, with transaction ID, LSN, timeline, commit time, and who. Its
// version is the condition of the next append, and so each transaction is in the log
// exactly once.
//
// An event occurred when its transaction was committed, by the server's clock.
// Its metadata are xid and lsn, actor and reason where the application said
// them, and database_user where the server did.
//
// # What is not there yet
//
// A transaction or first snapshot too large for one append is written in parts,
// whose events have the metadata "group", and closed by the event that names the
// group. Questions look no further than the last closed one, and
// pass over the parts of one that was interrupted and begun anew.
package audit

// Package rows turns the rows of a CSV file into events of a log. Start with
// [Open] for the file, [Compile] for the templates that say what of a row goes
// where, and [Import].
//
// A row's event has an ID made from the name of the source and the number of
// the row, unless a template gives another, and the batches that rows are
// appended in depend on nothing but the file and the templates. So an import
// can be broken off and run again: what is there is recognised and not added
// twice. Rows of equal content are different rows.
package rows

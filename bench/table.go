package main

import "slices"

// table is the rows, in the order they are measured and printed.
func table() []row {
	rows := []row{
		appendRow("durable single-event appends, 1 writer", 1, 1, 0.9),
		appendRow("durable single-event appends, 64 writers", 64, 1, 0.7),
		appendRow("durable single-event appends, 512 writers", 512, 1, 0.65),
		appendRow("durable appends in batches of 1,000, 1 writer", 1, 1000, 0.6),
		updateRow(),
		latencyRow(),
		decisionRow(),
		streamRow(),
		scanRow(),
		copyRow(),
		appendedRow(),
		loadRow("loading a 1,000-event entity without snapshot or cache", 1),
		loadRow("the same, 50 such entities in turn", 50),
	}
	rows = append(rows, sqliteRows()...)
	return slices.Concat(rows, scaleRows(), historyRows(), projectionRows(), subscriptionRows(), postgresRows(), collabRows(), auditRows(), replicaRows())
}

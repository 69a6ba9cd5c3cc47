package main

// peers are Annals and the others, in the order of the table.
var peers = []peer{
	{"**Annals**, filestore", "on disk (fdatasync)", openOurs},
	{"chronicle 0.5.0, SQLite", "on disk (WAL, synchronous=FULL)", openChronicle},
	{"hallgren/eventsourcing 0.9.1, SQLite", "on disk (WAL, synchronous=FULL)", openHallgren},
	{"eventhorizon 0.16.0, memory", "in memory only", openHorizon},
}

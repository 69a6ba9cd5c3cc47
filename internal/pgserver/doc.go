// Package pgserver runs a real PostgreSQL server in a temporary directory, for
// tests and benchmarks: [Start], or [ForTest] and [Shared] in a test.
//
// The programs are those of the machine: of the newest PostgreSQL that Debian's
// packages have installed, or else of the PATH; ANNALS_PG_BIN names another
// directory. The server runs as an ordinary user, since PostgreSQL refuses
// root: as "postgres", or else "nobody", where the caller is root. It listens on
// a free port of the loopback interface, and ends when the process that has
// started it does, however that ends.
package pgserver

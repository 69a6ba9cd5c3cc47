// Package projection keeps read models up to date with a log, so that a read
// model equals a fold of the log whatever is killed when.
//
// Start with [New] and [On], which say what events do to a read model, and
// [Projection.Open], which gives a [Runner]:
//
//	var Stock = projection.New("stock",
//		projection.On(func(ctx context.Context, tx *sql.Tx, e Moved, env projection.Envelope) error {
//			_, err := tx.ExecContext(ctx, `INSERT INTO `+projection.At(ctx, "stock")+` (sku, quantity) VALUES (?, ?)
//				ON CONFLICT (sku) DO UPDATE SET quantity = quantity + excluded.quantity`, e.SKU, e.Quantity)
//			return err
//		}),
//	).Table("stock", `sku TEXT PRIMARY KEY, quantity INTEGER NOT NULL`)
//
//	runner, err := Stock.Open(ctx, db, projection.SQLite(readModels), nil)
//	go runner.Run(ctx)
//	err = runner.Wait(ctx, receipt.Last) // then SELECT quantity FROM stock
//
// A read model is kept in a target: tables by database/sql ([SQLite],
// [Postgres]) or by pgx (package pgxtarget), documents that Annals keeps itself
// ([NewDocuments]), or a state in memory with snapshots ([NewMemory]).
//
// # Exactly once
//
// The checkpoint lies in the target and moves in the transaction in which the
// handlers work, and that transaction begins by locking it. So an event takes effect
// once, with any number of runners in any number of processes. The checkpoint
// holds the log's ID, the position, the leaf hash of the record handled last and
// the log's tree head; a log that is another, shorter or different one is refused
// with a [*CheckpointError].
//
// # Errors
//
// A handler's error undoes its transaction. What was before it in the batch is
// done again without it, then [Options].OnError holds: [Stop], [Retry] or
// [DeadLetter].
//
// # Operations
//
// [Control] acts on what is registered, from any process: status, pause,
// resume, reset, dead letters, and the rebuild of a projection beside the live one:
// open it with another [Projection.Version], [Control.Compare] it with the
// live one row by row, and [Control.Switch] to it or [Control.Drop] it.
package projection

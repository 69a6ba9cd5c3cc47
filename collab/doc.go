// Package collab lets several people and programs write in one text at once.
// The text is a stream of events, so its whole past is there: any version, who
// wrote each part, what one person did in one go.
//
// Start with [New], which makes the [Documents] of a log, and serve each editor
// by [Documents.ServeEditor] over a WebSocket:
//
//	docs, err := collab.New(ctx, annals.New(log, nil), nil)
//	mux.HandleFunc("GET /texts/{name}/editor", func(w http.ResponseWriter, r *http.Request) {
//		docs.ServeEditor(w, r, r.PathValue("name"), userOf(r))
//	})
//
// A page for it, in plain ES modules, is examples/editor. Programs write through
// a [Client], or in the server's own process by [Document.Submit].
//
// # How it works
//
// It is operational transformation with one authority, the stream. A [Change] is
// made for a version of the text, its base. If the base is the stream's head the
// change is appended as it is; else it is first rebased over what was accepted
// since. So an editor that is slow, or was offline for a week, never has to try
// again. Where two have inserted at one place, the order of their clients' names
// decides, so the letters of both do not mix. The condition of the append is the
// stream's version; several processes may serve one text.
//
// An editor applies its own changes at once and has one of them on its way at a
// time. What it receives is transformed by what it has not got accepted yet. An
// event's ID follows from the editor's name and its count, so a change that is
// sent again, because the answer was lost, is made once.
//
// Positions are code points; a wire in UTF-16 code units, which is what
// JavaScript counts in, is converted at the text that a change is made for, and a
// boundary inside a surrogate pair is refused.
//
// Undo is per author: what one takes back is rebased over what others have done
// since, and their work stays. It is a change like any other and in the history.
//
// Who is there and where the carets are is told to everybody and kept nowhere.
//
// Snapshots, one in [Options.SnapshotEvery] versions, are beside the log. They
// hold the text and who wrote what; without them every answer is the same.
package collab

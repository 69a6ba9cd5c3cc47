// Package wire is the JSON form of what goes in and out of a log: records,
// events, queries, conditions and receipts, one object a line. The command
// line, exports and imports speak it; a server can.
//
// To write, use [AppendRecord] and its like, which append to a slice. To read,
// use [Lines] for a stream and [ParseRecord] or [ParseInput] for one line. The
// reader is strict: invalid JSON (NaN too), invalid UTF-8, a field given twice
// or not known is an *[Error] that names the line and the field.
//
// A record:
//
//	{"position":1,"stream":"item-laptop","version":1,"type":"ItemCreated",
//	 "id":"0198…","time":"2026-01-02T03:04:05Z","occurred":"…","batch":1,
//	 "tags":["room:12"],"data":{…},"metadata":{"actor":"ann"},"conditions":[…]}
//
// What is empty is left out. A payload that is JSON stands as it is, every
// byte of it; so integers keep their digits. Any other payload is base64, and
// "encoding" says what is in it:
//
//	"encoding":"cbor+zstd","data":"o2Rta…"
//
// A payload of a record without encoding that would not survive in a line of
// strict JSON (it has a line break, a field given twice, or is no JSON at all)
// is base64 likewise, under "encoding":"json".
//
// A condition is one of
//
//	{"stream":"item-laptop","version":3}    the stream is at this version
//	{"stream":"item-laptop","absent":true}  it has no event
//	{"stream":"item-laptop","present":true} it has at least one
//	{"none":QUERY,"after":12}               no event that matches lies after
//
// and a query is {"items":[ITEM,…]}, an item {"types":[…],"tags":[…],
// "streams":[…],"category":"…","ids":[…]}; [ParseQuery] reads also the short
// form that people type.
package wire

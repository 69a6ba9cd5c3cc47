// Package jsonlibs measures Go's JSON libraries on events, so that the choice
// of codec.JSON (docs/adr/0004-json-codec.md) can be made again:
//
//	go test ./jsonlibs -bench . -count 5
package jsonlibs

import "time"

// Small is the usual event: a few flat fields.
type Small struct {
	SKU      string
	Quantity int
	Price    int64
	Reason   string
	Express  bool
}

// Line is one line of a [Nested].
type Line struct {
	SKU      string  `json:"sku"`
	Quantity int     `json:"quantity"`
	Price    float64 `json:"price"`
}

// Nested has slices, maps and times.
type Nested struct {
	Order    string            `json:"order"`
	Customer *Customer         `json:"customer,omitempty"`
	Lines    []Line            `json:"lines"`
	Labels   map[string]string `json:"labels"`
	Placed   time.Time         `json:"placed"`
	Due      *time.Time        `json:"due,omitempty"`
}

// Customer is who placed a [Nested].
type Customer struct {
	ID    uint64 `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

// Kilobyte is an event with 1 KB of text.
type Kilobyte struct {
	Title string
	Body  string
	Words []string
}

var placed = time.Date(2026, 7, 1, 12, 30, 15, 123456789, time.UTC)

// The events measured.
var (
	SmallEvent  = Small{SKU: "laptop-15", Quantity: 3, Price: 129900, Reason: "sold", Express: true}
	NestedEvent = Nested{
		Order:    "order-2026-000123",
		Customer: &Customer{ID: 18446744073709551615, Name: "Zoë Müller", Email: "zoe@example.com"},
		Lines:    []Line{{"laptop-15", 1, 1299.5}, {"mouse", 2, 19.99}, {"cable-usb-c", 4, 7.25}},
		Labels:   map[string]string{"channel": "web", "campaign": "summer", "country": "CH"},
		Placed:   placed, Due: &placed,
	}
	KilobyteEvent = Kilobyte{
		Title: "A longer note, with \"quotes\" and a line\nbreak",
		Body:  text(900), Words: []string{"alpha", "beta", "gamma", "delta"},
	}
)

func text(n int) string {
	const s = "The quick brown fox jumps over the lazy dog, and then some. "
	b := make([]byte, 0, n+len(s))
	for len(b) < n {
		b = append(b, s...)
	}
	return string(b[:n])
}

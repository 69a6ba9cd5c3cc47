package rows_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/retail"
	"github.com/annals-db/annals/internal/rows"
	"github.com/annals-db/annals/memstore"
)

func TestSource(t *testing.T) {
	t.Run("reads rows, quotes, line breaks in quotes and odd line ends", func(t *testing.T) {
		src, err := rows.Open(strings.NewReader("\ufeffa,b\r\n1,2\n\n\"x\ny\",\"q\"\"r\"\n,\n3,4"), 0)
		if err != nil {
			t.Fatal(err)
		}
		var got []rows.Row
		for {
			row, err := src.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, row)
		}
		want := []rows.Row{{1, 2, []string{"1", "2"}}, {2, 4, []string{"x\ny", `q"r`}}, {3, 6, []string{"", ""}}, {4, 7, []string{"3", "4"}}}
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(src.Columns, []string{"a", "b"}) {
			t.Errorf("got %v under %q", got, src.Columns)
		}
	})
	t.Run("goes on behind bad rows", func(t *testing.T) {
		src, err := rows.Open(strings.NewReader("a,b\n1,2\nshort\n1,\"open\n3,4\n1,5\" pipe\n1,2,3\n\xff,1\n5,6\n"), 0)
		if err != nil {
			t.Fatal(err)
		}
		var good []string
		bad := map[int]string{}
		for {
			row, err := src.Next()
			var b *rows.BadRow
			if err == io.EOF {
				break
			}
			if errors.As(err, &b) {
				bad[b.Line] = b.Reason
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			good = append(good, fmt.Sprint(row.Number, row.Line, row.Fields))
		}
		if want := []string{"1 2 [1 2]", "4 5 [3 4]", "8 9 [5 6]"}; !reflect.DeepEqual(good, want) {
			t.Errorf("got %q, want %q", good, want)
		}
		for line, part := range map[int]string{3: "1 fields", 4: "quote", 6: "quote", 7: "3 fields", 8: "UTF-8"} {
			if !strings.Contains(bad[line], part) {
				t.Errorf("line %d: got %q, want it to say %s", line, bad[line], part)
			}
		}
		if len(bad) != 5 {
			t.Errorf("got %v", bad)
		}
	})
	t.Run("is not held up by a quote that is never closed", func(t *testing.T) {
		const n = 400_000
		src, err := rows.Open(strings.NewReader("a\n\"open\n"+strings.Repeat("x\n", n)), 0)
		if err != nil {
			t.Fatal(err)
		}
		good, bad := 0, 0
		for {
			_, err := src.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				bad++
			} else {
				good++
			}
		}
		if good != n || bad != 1 {
			t.Errorf("got %d good rows and %d bad ones", good, bad)
		}
	})
	t.Run("reads gzip as it is", func(t *testing.T) {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte("a\n1\n"))
		_ = z.Close()
		src, err := rows.Open(&b, 0)
		if err != nil {
			t.Fatal(err)
		}
		if row, err := src.Next(); err != nil || row.Fields[0] != "1" {
			t.Errorf("got %v, %v", row, err)
		}
	})
	for name, text := range map[string]string{
		"empty": "", "of no name": "a,,b\n", "twice": "a,a\n", "not valid UTF-8": "a,\xff\n", "a bad quote": "a,b\"\n1,2\n", "cut gzip": "\x1f\x8b\x08",
	} {
		t.Run("refuses a header that is "+name, func(t *testing.T) {
			if src, err := rows.Open(strings.NewReader(text), 0); err == nil {
				t.Errorf("got %q", src.Columns)
			}
		})
	}
}

var columns = []string{"Code", "Qty", "Unit Price", "At", "Empty"}

func mapOne(t *testing.T, tm rows.Templates, fields ...string) (rows.Mapped, error) {
	t.Helper()
	m, err := rows.Compile(tm, "file.csv", columns, driver.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	return m.Map(rows.Row{Number: 3, Line: 4, Fields: fields})
}

func TestTemplates(t *testing.T) {
	row := []string{` a"b `, "12345678901234567890", "1.10", "2010-12-01 08:26:00", ""}
	for text, want := range map[string]string{
		"p-{{.Code | trim | upper}}":                  `p-A"B`,
		"{{json .Code}}":                              `" a\"b "`,
		`{"q":{{int .Qty}}}`:                          `{"q":12345678901234567890}`,
		`{{index . "Unit Price" | number}}`:           "1.10",
		`{{.Empty | default "none"}}`:                 "none",
		`{{replace "a" "x" .Code}}`:                   ` x"b `,
		`{{json (trim .Code)}}`:                       `"a\"b"`,
		`{{if .Empty}}full{{else}}empty{{end}}`:       "empty",
		`{{printf "%s!" (trim .Code)}}`:               `a"b!`,
		`{{with .Code}}{{. | trim}}{{end}}{{.Empty}}`: `a"b`,
	} {
		m, err := mapOne(t, rows.Templates{Stream: "s", Type: "T", Metadata: map[string]string{"k": text}}, row...)
		if err != nil || m.Event.Metadata.Value("k") != want {
			t.Errorf("%s: got %q, %v, want %q", text, m.Event.Metadata.Value("k"), err, want)
		}
	}
	t.Run("make the row bad when they fail", func(t *testing.T) {
		for text, part := range map[string]string{
			"{{int .Code}}": "not a whole number", `{{int "1.0"}}`: "not a whole number", `{{number "01"}}`: "not a number",
			`{{number "NaN"}}`: "not a number", "{{required .Empty}}": "it is empty", "{{bool .Code}}": "neither", `{{if .Code}}{{int .Code}}{{end}}`: "not a whole number",
		} {
			_, err := mapOne(t, rows.Templates{Stream: "s", Type: "T", Data: text}, row...)
			var bad *rows.BadRow
			if !errors.As(err, &bad) || bad.Number != 3 || bad.Line != 4 || !strings.Contains(bad.Reason, part) || !strings.Contains(bad.Reason, "--data") {
				t.Errorf("%s: got %v", text, err)
			}
		}
		for _, tm := range []rows.Templates{
			{Stream: "s", Type: "T", Data: "{{.Code}}"},
			{Stream: "s", Type: "T", Data: `{"a":1,"a":2}`},
			{Stream: "s", Type: "{{.Empty}}"},
			{Stream: "{{.Empty}}", Type: "T"},
			{Stream: "s\x00", Type: "T"},
			{Stream: "s", Type: "T", Tags: []string{"{{.Code}}"}},
			{Stream: "s", Type: "T", Time: "{{.Code}}"},
			{Stream: "s", Type: "T", Occurred: "{{.Code}}"},
			{Stream: "s", Type: "T", Data: `"` + strings.Repeat("x", 1<<20) + `"`},
		} {
			var bad *rows.BadRow
			if _, err := mapOne(t, tm, row...); !errors.As(err, &bad) {
				t.Errorf("%+v: got %v", tm, err)
			}
		}
	})
	t.Run("are refused when they name what is not there", func(t *testing.T) {
		for _, tm := range []rows.Templates{
			{Stream: "{{.Nope}}", Type: "T"}, {Stream: `{{index . "Nope"}}`, Type: "T"}, {Stream: "{{nope .Code}}", Type: "T"},
			{Stream: "{{.Code", Type: "T"}, {Type: "T"}, {Stream: "s"}, {Stream: "s", Type: "T", Data: "{{if .Nope}}{{end}}"},
		} {
			if _, err := rows.Compile(tm, "f", columns, driver.DefaultLimits); err == nil {
				t.Errorf("%+v was taken", tm)
			}
		}
	})
	t.Run("without --data give all columns as strings", func(t *testing.T) {
		m, err := mapOne(t, rows.Templates{Stream: "s", Type: "T"}, row...)
		want := `{"Code":" a\"b ","Qty":"12345678901234567890","Unit Price":"1.10","At":"2010-12-01 08:26:00","Empty":""}`
		if err != nil || string(m.Event.Data) != want {
			t.Errorf("got %s, %v", m.Event.Data, err)
		}
	})
	t.Run("set times, IDs and tags", func(t *testing.T) {
		m, err := mapOne(t, rows.Templates{Stream: "s", Type: "T", Time: "{{.At}}", Tags: []string{"q:{{.Qty}}"}, Zone: time.FixedZone("", 3600)}, row...)
		at := time.Date(2010, 12, 1, 7, 26, 0, 0, time.UTC)
		if err != nil || !m.Time.Equal(at) || !m.Event.Occurred.Equal(at) || m.Event.Tags[0] != "q:12345678901234567890" {
			t.Errorf("got %+v, %v", m, err)
		}
		again, _ := mapOne(t, rows.Templates{Stream: "s", Type: "T"}, row...)
		if m.Event.ID != again.Event.ID || m.Event.ID.Version() != 5 {
			t.Errorf("got %s and %s", m.Event.ID, again.Event.ID)
		}
		id := uuid.New()
		if given, _ := mapOne(t, rows.Templates{Stream: "s", Type: "T", ID: id.String()}, row...); given.Event.ID != id {
			t.Errorf("got %s", given.Event.ID)
		}
		if made, _ := mapOne(t, rows.Templates{Stream: "s", Type: "T", ID: "{{.Code}}"}, row...); made.Event.ID == m.Event.ID || made.Event.ID.Version() != 5 {
			t.Errorf("got %s", made.Event.ID)
		}
	})
}

// stockMoved are the templates of the retail data.
var stockMoved = rows.Templates{
	Stream: "product-{{.StockCode}}", Type: "StockMoved", Time: "{{.InvoiceDate}}",
	Data: `{"invoice":{{json .InvoiceNo}},"quantity":{{int .Quantity}},"price":{{number .UnitPrice}},"customer":{{json .CustomerID}}}`,
}

func load(t *testing.T, log driver.Log, text string, tm rows.Templates, o *rows.Options) (rows.Summary, error) {
	t.Helper()
	src, err := rows.Open(strings.NewReader(text), 0)
	if err != nil {
		t.Fatal(err)
	}
	m, err := rows.Compile(tm, "retail.csv", src.Columns, driver.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	return rows.Import(context.Background(), log, src, m, o)
}

func TestImport(t *testing.T) {
	var file strings.Builder
	totals, err := retail.Write(&file, 5000, 3)
	if err != nil {
		t.Fatal(err)
	}
	untimed := stockMoved
	untimed.Time, untimed.Occurred = "", "{{.InvoiceDate}}"
	for name, tm := range map[string]rows.Templates{"with times": stockMoved, "without times": untimed} {
		t.Run(name+"/adds every row once, however often it runs", func(t *testing.T) {
			log := memstore.New(nil)
			s, err := load(t, log, file.String(), tm, nil)
			if err != nil || s.Added != totals.Rows || s.Known != 0 || s.First != 1 || int(s.Last) != totals.Rows {
				t.Fatalf("got %+v, %v", s, err)
			}
			s, err = load(t, log, file.String(), tm, nil)
			if err != nil || s.Added != 0 || s.Known != totals.Rows {
				t.Errorf("the second time: got %+v, %v", s, err)
			}
			s, err = load(t, log, file.String(), tm, &rows.Options{Batch: 7})
			if err != nil || s.Added != 0 || s.Known != totals.Rows {
				t.Errorf("in other batches: got %+v, %v", s, err)
			}
		})
		t.Run(name+"/goes on where it was broken off", func(t *testing.T) {
			log := memstore.New(nil)
			half := strings.Join(strings.SplitAfter(file.String(), "\n")[:2345], "")
			if _, err := load(t, log, half, tm, nil); err != nil {
				t.Fatal(err)
			}
			s, err := load(t, log, file.String(), tm, nil)
			if err != nil || s.Added+s.Known != totals.Rows || s.Known != 2344 {
				t.Errorf("got %+v, %v", s, err)
			}
			last := time.Time{}
			for r, err := range log.Read(context.Background(), driver.Query{}, driver.ReadOptions{}) {
				if err != nil || r.Time.Before(last) {
					t.Fatalf("got %+v, %v", r, err)
				}
				last = r.Time
			}
		})
	}
	t.Run("takes mended rows later", func(t *testing.T) {
		log := memstore.New(nil)
		lines := strings.SplitAfter(file.String(), "\n")
		good := lines[10]
		lines[10] = "short\n"
		bad := 0
		s, err := load(t, log, strings.Join(lines, ""), untimed, &rows.Options{Bad: func(*rows.BadRow) error { bad++; return nil }})
		if err != nil || s.Bad != 1 || bad != 1 || s.Added != totals.Rows-1 {
			t.Fatalf("got %+v, %v", s, err)
		}
		lines[10] = good
		s, err = load(t, log, strings.Join(lines, ""), untimed, nil)
		if err != nil || s.Added != 1 || s.Known != totals.Rows-1 {
			t.Errorf("got %+v, %v", s, err)
		}
	})
	t.Run("refuses a file that has changed, by row", func(t *testing.T) {
		log := memstore.New(nil)
		if _, err := load(t, log, file.String(), untimed, nil); err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitAfter(file.String(), "\n")
		lines = append(lines[:100:100], lines[101:]...)
		_, err := load(t, log, strings.Join(lines, ""), untimed, nil)
		var bad *rows.BadRow
		if !errors.As(err, &bad) || bad.Number != 100 || !strings.Contains(bad.Reason, "position 100") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("with times asks for a log that ends before, and names the row", func(t *testing.T) {
		log := memstore.New(&memstore.Options{Clock: func() time.Time { return retail.Middle }})
		if _, err := log.Append(context.Background(), driver.Batch{Events: []driver.Event{{ID: uuid.New(), Stream: "s", Type: "T", Data: []byte("1")}}}); err != nil {
			t.Fatal(err)
		}
		_, err := load(t, log, file.String(), stockMoved, nil)
		var bad *rows.BadRow
		if !errors.As(err, &bad) || bad.Number != 1 || bad.Line != 2 {
			t.Errorf("got %v", err)
		}
		if info, _ := log.Info(context.Background()); info.Head != 1 {
			t.Errorf("the log has %d events", info.Head)
		}
	})
	t.Run("with times asks for rows in order, and names the row", func(t *testing.T) {
		log := memstore.New(nil)
		s, err := load(t, log, "StockCode,InvoiceDate\na,2011-01-02\nb,2011-01-03\nc,2011-01-01\nd,2011-01-04\n",
			rows.Templates{Stream: "{{.StockCode}}", Type: "T", Time: "{{.InvoiceDate}}"}, nil)
		var bad *rows.BadRow
		if !errors.As(err, &bad) || bad.Number != 3 || s.Added != 2 {
			t.Errorf("got %+v, %v", s, err)
		}
	})
	t.Run("says what it has done when it is broken off", func(t *testing.T) {
		log := memstore.New(nil)
		ctx, cancel := context.WithCancel(context.Background())
		src, _ := rows.Open(strings.NewReader(file.String()), 0)
		m, _ := rows.Compile(stockMoved, "retail.csv", src.Columns, driver.DefaultLimits)
		s, err := rows.Import(ctx, log, src, m, &rows.Options{Progress: func(n int) {
			if n > 2000 {
				cancel()
			}
		}})
		info, _ := log.Info(context.Background())
		if !errors.Is(err, context.Canceled) || s.Added == 0 || s.Added == totals.Rows || int(info.Head) != s.Added || s.LastRow != s.Added {
			t.Errorf("got %+v, %v, the log has %d", s, err, info.Head)
		}
	})
	t.Run("dry appends nothing", func(t *testing.T) {
		log := memstore.New(nil)
		s, err := load(t, log, file.String(), stockMoved, &rows.Options{DryRun: true})
		if info, _ := log.Info(context.Background()); err != nil || info.Head != 0 || s.Rows != totals.Rows || s.Added != 0 {
			t.Errorf("got %+v, %v", s, err)
		}
	})
	t.Run("stops at the first bad row where nobody takes them", func(t *testing.T) {
		_, err := load(t, memstore.New(nil), "StockCode\na\n\"\n", rows.Templates{Stream: "{{.StockCode}}", Type: "T"}, nil)
		var bad *rows.BadRow
		if !errors.As(err, &bad) || bad.Number != 2 {
			t.Errorf("got %v", err)
		}
	})
}

func FuzzSource(f *testing.F) {
	f.Add("a,b\n1,\"2\n3\"\n\"\n")
	f.Add("a\n\"x\"\"\n\"y")
	f.Fuzz(func(t *testing.T, text string) {
		src, err := rows.Open(strings.NewReader(text), 0)
		if err != nil {
			return
		}
		line := 1
		for n := 1; ; n++ {
			row, err := src.Next()
			var bad *rows.BadRow
			if err != nil && !errors.As(err, &bad) {
				return
			}
			if row.Number != n || row.Line <= line && n > 1 {
				t.Fatalf("row %d on line %d after line %d", row.Number, row.Line, line)
			}
			if bad == nil && len(row.Fields) != len(src.Columns) {
				t.Fatalf("row %d has %d fields of %d", n, len(row.Fields), len(src.Columns))
			}
			line = row.Line
		}
	})
}

func BenchmarkMap(b *testing.B) {
	m, err := rows.Compile(stockMoved, "retail.csv", retail.Columns, driver.DefaultLimits)
	if err != nil {
		b.Fatal(err)
	}
	row := rows.Row{Number: 1, Line: 2, Fields: []string{"536365", "85123A", "WHITE HANGING HEART T-LIGHT HOLDER", "6", "2010-12-01 08:26:00", "2.55", "17850.0", "United Kingdom"}}
	for b.Loop() {
		if _, err := m.Map(row); err != nil {
			b.Fatal(err)
		}
	}
}

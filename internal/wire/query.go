package wire

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
)

// AppendQuery appends q as one JSON object, {} if it selects everything by
// having no items.
func AppendQuery(dst []byte, q driver.Query) []byte {
	if len(q.Items) == 0 {
		return append(dst, '{', '}')
	}
	dst = append(dst, `{"items":[`...)
	for n := range q.Items {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = appendItem(dst, &q.Items[n])
	}
	return append(dst, ']', '}')
}

func appendItem(dst []byte, i *driver.Item) []byte {
	start := len(dst)
	name := func(s string) {
		sep := byte(',')
		if len(dst) == start {
			sep = '{'
		}
		dst = append(append(append(dst, sep, '"'), s...), '"', ':')
	}
	list := func(s string, values []string) {
		if len(values) > 0 {
			name(s)
			dst = appendStrings(dst, values)
		}
	}
	list("types", i.Types)
	list("tags", i.Tags)
	list("streams", i.Streams)
	if i.Category != "" {
		name("category")
		dst = appendString(dst, i.Category)
	}
	if len(i.IDs) > 0 {
		name("ids")
		for n, id := range i.IDs {
			sep := byte(',')
			if n == 0 {
				sep = '['
			}
			dst = appendID(append(dst, sep), id)
		}
		dst = append(dst, ']')
	}
	if len(dst) == start {
		dst = append(dst, '{')
	}
	return append(dst, '}')
}

// query reads one query.
func (p *parser) query() driver.Query {
	var q driver.Query
	p.object(func(name string) {
		if name != "items" {
			p.unknown(name, `"items"`)
			return
		}
		p.array(func() { q.Items = append(q.Items, p.item()) })
	})
	return q
}

func (p *parser) item() driver.Item {
	var i driver.Item
	p.object(func(name string) {
		switch name {
		case "types":
			i.Types = p.strings()
		case "tags":
			i.Tags = p.strings()
		case "streams":
			i.Streams = p.strings()
		case "category":
			i.Category = p.str()
		case "ids":
			p.array(func() { i.IDs = append(i.IDs, p.id()) })
		default:
			p.unknown(name, `"types", "tags", "streams", "category", "ids"`)
		}
	})
	return i
}

// QuerySyntax says how a query is typed, for help texts.
const QuerySyntax = `A QUERY is key=value pairs joined by commas, all of which must match:

  type=A|B          the event is of any of these types
  tag=key:value     it has this tag (repeat for several, all must be there)
  stream=s-1|s-2    it is in any of these streams
  category=item     its stream is item or item-…
  id=UUID|UUID      it has any of these IDs

A flag given several times selects what any of them selects. A name that has a
comma or a bar in it needs the JSON form, which begins with a brace:
  {"items":[{"types":["A"],"tags":["course:c1"]}]}`

// ParseQuery reads queries as people type them (see [QuerySyntax]) and joins
// them by OR. Without any it selects everything.
func ParseQuery(texts ...string) (driver.Query, error) {
	var q driver.Query
	for _, text := range texts {
		if strings.HasPrefix(strings.TrimSpace(text), "{") {
			one, err := parseQueryJSON([]byte(text))
			if err != nil {
				return driver.Query{}, fmt.Errorf("query %s: %w", text, err)
			}
			if len(one.Items) == 0 {
				one.Items = []driver.Item{{}}
			}
			q.Items = append(q.Items, one.Items...)
			continue
		}
		i, err := parseItem(text)
		if err != nil {
			return driver.Query{}, fmt.Errorf("query %q: %w", text, err)
		}
		q.Items = append(q.Items, i)
	}
	return q, nil
}

func parseQueryJSON(text []byte) (driver.Query, error) {
	p := newParser()
	p.reset(text, 0)
	q := p.query()
	p.end()
	return q, p.failure()
}

func parseItem(text string) (driver.Item, error) {
	var i driver.Item
	if !utf8.ValidString(text) {
		return i, errors.New("it is not valid UTF-8")
	}
	for _, pair := range strings.Split(text, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || value == "" {
			return i, fmt.Errorf("%q is not of the form key=value", pair)
		}
		switch key {
		case "type":
			i.Types = append(i.Types, strings.Split(value, "|")...)
		case "tag":
			i.Tags = append(i.Tags, value)
		case "stream":
			i.Streams = append(i.Streams, strings.Split(value, "|")...)
		case "category":
			if i.Category != "" {
				return i, errors.New("category is given twice")
			}
			i.Category = value
		case "id":
			for _, s := range strings.Split(value, "|") {
				id, err := uuid.Parse(s)
				if err != nil {
					return i, fmt.Errorf("id %q is not a UUID", s)
				}
				i.IDs = append(i.IDs, id)
			}
		default:
			return i, fmt.Errorf("%q is not a key of a query; they are type, tag, stream, category and id", key)
		}
	}
	return i, nil
}

package wire

import (
	"strconv"

	"github.com/annals-db/annals/driver"
)

// AppendCondition appends c as one JSON object.
func AppendCondition(dst []byte, c *driver.Condition) []byte {
	if c.Kind == driver.NoneAfterKind {
		dst = append(dst, `{"none":`...)
		dst = AppendQuery(dst, c.Query)
		dst = append(dst, `,"after":`...)
		dst = strconv.AppendUint(dst, uint64(c.After), 10)
		return append(dst, '}')
	}
	dst = append(dst, `{"stream":`...)
	dst = appendString(dst, c.Stream)
	switch c.Kind {
	case driver.StreamAtKind:
		dst = append(dst, `,"version":`...)
		dst = strconv.AppendUint(dst, c.Version, 10)
	case driver.StreamAbsentKind:
		dst = append(dst, `,"absent":true`...)
	case driver.StreamPresentKind:
		dst = append(dst, `,"present":true`...)
	}
	return append(dst, '}')
}

// AppendConditions appends all as one JSON array.
func AppendConditions(dst []byte, all []driver.Condition) []byte {
	dst = append(dst, '[')
	for i := range all {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendCondition(dst, &all[i])
	}
	return append(dst, ']')
}

// condition reads one condition.
func (p *parser) condition() driver.Condition {
	var c driver.Condition
	has := map[string]bool{}
	p.object(func(name string) {
		has[name] = true
		switch name {
		case "stream":
			c.Stream = p.str()
		case "version":
			c.Version = p.uint()
		case "absent", "present":
			if !p.bool() {
				p.fail("it can only be true")
			}
		case "none":
			c.Query = p.query()
		case "after":
			c.After = driver.Position(p.uint())
		default:
			p.unknown(name, `"stream", "version", "absent", "present", "none", "after"`)
		}
	})
	for kind, names := range map[driver.ConditionKind][2]string{
		driver.StreamAtKind:      {"stream", "version"},
		driver.StreamAbsentKind:  {"stream", "absent"},
		driver.StreamPresentKind: {"stream", "present"},
		driver.NoneAfterKind:     {"none", "after"},
	} {
		if len(has) == 2 && has[names[0]] && has[names[1]] {
			c.Kind = kind
			return c
		}
	}
	p.fail(`a condition has "stream" with one of "version", "absent" and "present", or else "none" with "after"`)
	return c
}

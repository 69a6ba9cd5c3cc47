package rows

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// expression appends what a template makes of a row.
type expression func(dst []byte, row *Row) ([]byte, error)

// templateOf compiles a template over columns. name is the flag it came from.
// A template of plain text, columns and functions is run without reflection,
// which is ten times as fast; any other by text/template.
func templateOf(name, text string, columns []string) (expression, error) {
	t, err := template.New(name).Option("missingkey=error").Funcs(funcMap()).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "template: "))
	}
	c := compiler{name, columns}
	if err := c.check(t.Root); err != nil {
		return nil, err
	}
	if e, ok := c.simple(t.Root); ok {
		return e, nil
	}
	return general(t, name, columns), nil
}

// general runs any template.
func general(t *template.Template, name string, columns []string) expression {
	return func(dst []byte, row *Row) ([]byte, error) {
		values := make(map[string]string, len(columns))
		for i, column := range columns {
			values[column] = row.Fields[i]
		}
		b := bytes.NewBuffer(dst)
		err := t.Execute(b, values)
		var x template.ExecError
		if errors.As(err, &x) {
			err = fmt.Errorf("%s: %w", name, x.Err)
		}
		return b.Bytes(), err
	}
}

type compiler struct {
	name    string
	columns []string
}

func (c *compiler) column(name string) (int, error) {
	i := slices.Index(c.columns, name)
	if i < 0 {
		return 0, fmt.Errorf("%s: there is no column %q; the file has %s", c.name, name, strings.Join(c.columns, ", "))
	}
	return i, nil
}

// check finds columns that are not there.
func (c *compiler) check(n parse.Node) error {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		for _, child := range n.Nodes {
			if err := c.check(child); err != nil {
				return err
			}
		}
	case *parse.ActionNode:
		return c.check(n.Pipe)
	case *parse.IfNode:
		return errors.Join(c.check(n.Pipe), c.check(n.List), c.check(n.ElseList))
	case *parse.PipeNode:
		for _, cmd := range n.Cmds {
			if err := c.check(cmd); err != nil {
				return err
			}
		}
	case *parse.CommandNode:
		if name, ok := indexed(n); ok {
			_, err := c.column(name)
			return err
		}
		for _, arg := range n.Args {
			if err := c.check(arg); err != nil {
				return err
			}
		}
	case *parse.FieldNode:
		_, err := c.column(n.Ident[0])
		return err
	}
	return nil
}

// indexed returns the column of index . "name".
func indexed(n *parse.CommandNode) (string, bool) {
	if len(n.Args) != 3 || n.Args[0].String() != "index" || n.Args[1].Type() != parse.NodeDot {
		return "", false
	}
	s, ok := n.Args[2].(*parse.StringNode)
	if !ok {
		return "", false
	}
	return s.Text, true
}

// simple compiles text, columns and functions, and reports whether that is all.
func (c *compiler) simple(root *parse.ListNode) (expression, bool) {
	var parts []expression
	for _, n := range root.Nodes {
		switch n := n.(type) {
		case *parse.TextNode:
			text := n.Text
			parts = append(parts, func(dst []byte, _ *Row) ([]byte, error) { return append(dst, text...), nil })
		case *parse.ActionNode:
			v, ok := c.pipe(n.Pipe)
			if !ok {
				return nil, false
			}
			action := strings.TrimSpace(n.Pipe.String())
			parts = append(parts, func(dst []byte, row *Row) ([]byte, error) {
				s, err := v(row)
				if err != nil {
					return dst, fmt.Errorf("%s: {{%s}}: %w", c.name, action, err)
				}
				return append(dst, s...), nil
			})
		default:
			return nil, false
		}
	}
	return func(dst []byte, row *Row) (_ []byte, err error) {
		for _, part := range parts {
			if dst, err = part(dst, row); err != nil {
				return dst, err
			}
		}
		return dst, nil
	}, true
}

// value is what an argument or a call gives for a row.
type value func(row *Row) (string, error)

func (c *compiler) pipe(p *parse.PipeNode) (v value, ok bool) {
	if len(p.Decl) > 0 {
		return nil, false
	}
	for _, cmd := range p.Cmds {
		if v, ok = c.command(cmd, v); !ok {
			return nil, false
		}
	}
	return v, true
}

// command compiles one command, whose last argument is piped if that is not nil.
func (c *compiler) command(cmd *parse.CommandNode, piped value) (value, bool) {
	if name, ok := indexed(cmd); ok && piped == nil {
		i, err := c.column(name)
		return func(row *Row) (string, error) { return row.Fields[i], nil }, err == nil
	}
	id, ok := cmd.Args[0].(*parse.IdentifierNode)
	if !ok {
		if len(cmd.Args) != 1 || piped != nil {
			return nil, false
		}
		return c.argument(cmd.Args[0])
	}
	f, ok := functions[id.Ident]
	if !ok {
		return nil, false
	}
	var args []value
	for _, a := range cmd.Args[1:] {
		v, ok := c.argument(a)
		if !ok {
			return nil, false
		}
		args = append(args, v)
	}
	if piped != nil {
		args = append(args, piped)
	}
	if len(args) != f.args {
		return nil, false
	}
	return call(f, args), true
}

func call(f function, args []value) value {
	return func(row *Row) (string, error) {
		var few [3]string
		texts := few[:len(args)]
		for i, a := range args {
			var err error
			if texts[i], err = a(row); err != nil {
				return "", err
			}
		}
		return f.call(texts)
	}
}

func (c *compiler) argument(n parse.Node) (value, bool) {
	switch n := n.(type) {
	case *parse.FieldNode:
		i, err := c.column(n.Ident[0])
		return func(row *Row) (string, error) { return row.Fields[i], nil }, err == nil && len(n.Ident) == 1
	case *parse.StringNode:
		return func(*Row) (string, error) { return n.Text, nil }, true
	case *parse.PipeNode:
		return c.pipe(n)
	}
	return nil, false
}

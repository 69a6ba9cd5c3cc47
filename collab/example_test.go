package collab_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/collab"
	"github.com/annals-db/annals/memstore"
)

func Example() {
	log := memstore.New(nil)
	defer log.Close()
	ctx := context.Background()
	docs, err := collab.New(ctx, annals.New(log, nil), nil)
	if err != nil {
		panic(err)
	}
	defer docs.Close()
	doc, err := docs.Open(ctx, "notes")
	if err != nil {
		panic(err)
	}
	defer doc.Close()

	// Ann writes; then both change what she wrote, neither knowing of the other.
	_, err = doc.Submit(ctx, collab.Proposal{Author: "ann", Base: 0, Change: collab.Insert(0, "Meet at the pond")})
	_, err1 := doc.Submit(ctx, collab.Proposal{Author: "ann", Base: 1, Change: collab.Insert(16, " at noon")})
	_, err2 := doc.Submit(ctx, collab.Proposal{Author: "bob", Base: 1, Change: collab.Replace(12, 4, "well")})
	text, version := doc.Text()
	fmt.Println(version, text.String(), err, err1, err2)

	past, err := doc.At(ctx, 2)
	fmt.Println(past.Text, err)
	// Output:
	// 3 Meet at the well at noon <nil> <nil> <nil>
	// Meet at the pond at noon <nil>
}

func ExampleDocument_At() {
	log := memstore.New(nil)
	defer log.Close()
	ctx := context.Background()
	docs, err := collab.New(ctx, annals.New(log, nil), nil)
	if err != nil {
		panic(err)
	}
	defer docs.Close()
	doc, err := docs.Open(ctx, "notes")
	if err != nil {
		panic(err)
	}
	defer doc.Close()
	for i, p := range []collab.Proposal{
		{Author: "ann", Change: collab.Insert(0, "red, green")},
		{Author: "bob", Change: collab.Replace(5, 5, "blue")},
		{Author: "ann", Change: collab.Insert(9, ", white")},
	} {
		p.Base = uint64(i)
		if _, err := doc.Submit(ctx, p); err != nil {
			panic(err)
		}
	}
	r, err := doc.At(ctx, 3)
	if err != nil {
		panic(err)
	}
	rest := []rune(r.Text)
	for _, s := range r.Spans {
		fmt.Printf("%s wrote %q\n", s.Author, string(rest[:s.Length]))
		rest = rest[s.Length:]
	}
	// Output:
	// ann wrote "red, "
	// bob wrote "blue"
	// ann wrote ", white"
}

func ExampleDocument_History() {
	log := memstore.New(nil)
	defer log.Close()
	ctx := context.Background()
	docs, err := collab.New(ctx, annals.New(log, nil), nil)
	if err != nil {
		panic(err)
	}
	defer docs.Close()
	doc, err := docs.Open(ctx, "notes")
	if err != nil {
		panic(err)
	}
	defer doc.Close()
	for i, letter := range []string{"H", "i", "!"} {
		author := "ann"
		if letter == "!" {
			author = "bob"
		}
		if _, err := doc.Submit(ctx, collab.Proposal{Author: author, Base: uint64(i), Change: collab.Insert(i, letter)}); err != nil {
			panic(err)
		}
	}
	_, err = doc.Restore(ctx, "ann", 2)
	for g, err := range doc.History(ctx) {
		fmt.Println(g.Author, g.First, g.Last, g.Inserted, g.Deleted, g.Kind, err)
	}
	fmt.Println(err)
	// Output:
	// ann 1 2 2 0  <nil>
	// bob 3 3 1 0  <nil>
	// ann 4 4 0 1 restore <nil>
	// <nil>
}

func ExampleClient() {
	log := memstore.New(nil)
	defer log.Close()
	ctx := context.Background()
	docs, err := collab.New(ctx, annals.New(log, nil), nil)
	if err != nil {
		panic(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		docs.ServeEditor(w, r, "notes", r.URL.Query().Get("user")) // who it is the application knows
	}))
	defer server.Close()
	defer docs.Close()

	url := "ws" + strings.TrimPrefix(server.URL, "http")
	ann, err := collab.Dial(ctx, url+"?user=ann", nil)
	if err != nil {
		panic(err)
	}
	defer ann.Close()
	bot, err := collab.Dial(ctx, url+"?user=bot", nil)
	if err != nil {
		panic(err)
	}
	defer bot.Close()

	err1 := ann.Edit(func(now collab.Text) collab.Change { return collab.Insert(now.Len(), "The End.") })
	err2 := ann.Settle(ctx) // the server has it
	err3 := bot.Reach(ctx, 1)
	err4 := bot.Edit(func(now collab.Text) collab.Change {
		return collab.Diff(now.String(), strings.ReplaceAll(now.String(), "End", "Beginning"))
	})
	err5 := bot.Settle(ctx)
	err6 := ann.Reach(ctx, 2)
	text, version := ann.Text()
	fmt.Println(version, text.String(), err1, err2, err3, err4, err5, err6)

	bot.Undo()
	err7 := bot.Settle(ctx)
	text, _ = bot.Text()
	fmt.Println(text.String(), err7)
	// Output:
	// 2 The Beginning. <nil> <nil> <nil> <nil> <nil> <nil>
	// The End. <nil>
}

func ExampleTransform() {
	text := collab.NewText("one three")
	a, b := collab.Insert(4, "two "), collab.Replace(0, 3, "ONE")
	a2, b2 := collab.Transform(a, b)
	left, err1 := text.Apply(a.Compose(b2))
	right, err2 := text.Apply(b.Compose(a2))
	fmt.Println(left.String(), "/", right.String(), err1, err2)
	// Output: ONE two three / ONE two three <nil> <nil>
}

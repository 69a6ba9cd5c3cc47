package guide_test

import (
	"context"
	"fmt"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/undo"
)

func Example_history() {
	ctx := annals.WithActor(context.Background(), "ann")
	db := bank(ctx)
	if _, err := Accounts.Update(annals.WithActor(ctx, "eve"), db, "ada", func(a *Account) error { return a.Withdraw(90) }); err != nil {
		fmt.Println(err)
	}
	if err := transfer(ctx, db, "ada", "bob", 10); err != nil {
		fmt.Println(err)
	}
	// code: diff
	h := history.Of(db.Log(), "account-ada", history.Model(db, Accounts))

	changes, err := h.Diff(ctx, history.Version(2), history.Point{}) // the zero point is the last version
	for _, c := range changes {
		fmt.Println(c.Path, c.Old, "->", c.New)
	}
	// end
	fmt.Println(err)
	// code: blame
	origins, err := h.Blame(ctx, history.Point{}, nil)
	for _, o := range origins {
		fmt.Println(o.Path, o.Value, "by", o.Record.Type, "of", o.Record.Metadata.Value("actor"), "at position", o.Record.Position)
	}
	// end
	fmt.Println(err)
	// code: first
	flip, err := h.First(ctx, history.When(func(a *Account) bool { return a.Balance == 10 }))
	fmt.Println(flip.Record.Position, flip.Record.Metadata.Value("actor"), err)
	// end
	// code: whatif
	outcome, err := h.WhatIf(ctx, history.Point{}, history.Supposition{Without: []uint64{3}})
	for _, c := range outcome.Changes {
		fmt.Println(c.Path, c.Old, "->", c.New)
	}
	// end
	fmt.Println(err)
	// Output:
	// .Balance 100 -> 0
	// <nil>
	// .Balance 0 by Withdrawn of ann at position 5
	// .Owner Ada by Opened of ann at position 1
	// <nil>
	// 4 eve <nil>
	// .Balance 0 -> 90
	// <nil>
}

// code: drawing
type Drawing struct {
	annals.Entity
	Title  string
	Shapes map[string]string
}

type Titled struct{ Title string }
type ShapeDrawn struct{ Name, Colour string }

var Drawings = annals.NewModel("drawing",
	annals.Init(func(d *Drawing) { d.Shapes = map[string]string{} }),
	annals.On(func(d *Drawing, e Titled) { d.Title = e.Title }),
	annals.On(func(d *Drawing, e ShapeDrawn) { d.Shapes[e.Name] = e.Colour }),
	undo.Handler[Drawing](),
)

var Undo = undo.New(Drawings)

// end

func Example_undo() {
	ctx := context.Background()
	db := annals.New(memstore.New(nil), nil)
	// code: undo
	ann, bob := annals.WithActor(ctx, "ann"), annals.WithActor(ctx, "bob")
	show := func() {
		d, err := Drawings.Load(db.View(ctx), "plan")
		fmt.Println(d.Title, d.Shapes, err)
	}
	Drawings.Add(ann, db, "plan", func(d *Drawing) error { return d.Record(Titled{"Plan"}) })
	Drawings.Update(ann, db, "plan", func(d *Drawing) error { return d.Record(ShapeDrawn{"door", "red"}) })
	Drawings.Update(bob, db, "plan", func(d *Drawing) error { return d.Record(ShapeDrawn{"roof", "grey"}) })
	show()
	_, err := Undo.Undo(ann, db, "plan") // her last action; bob's stays
	show()
	// end
	fmt.Println(err)
	// Output:
	// Plan map[door:red roof:grey] <nil>
	// Plan map[roof:grey] <nil>
	// <nil>
}

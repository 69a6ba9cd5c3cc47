package undo_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/undo"
)

func Example() {
	log := memstore.New(nil)
	defer log.Close()
	db := annals.New(log, nil)
	ann, bob := annals.WithActor(context.Background(), "ann"), annals.WithActor(context.Background(), "bob")
	set := func(ctx context.Context, name string, value int) {
		change := func(c *Cells) error { return c.Record(CellSet{name, value}) }
		_, err := cells.Update(ctx, db, "sheet", change)
		if errors.Is(err, annals.ErrNotFound) {
			_, err = cells.Add(ctx, db, "sheet", change)
		}
		if err != nil {
			fmt.Println(err)
		}
	}
	show := func() {
		c, err := cells.Load(db.View(ann), "sheet")
		fmt.Println(c.Cell, err)
	}
	u := undo.New(cells)

	set(ann, "a1", 1)
	set(ann, "b1", 2)
	set(bob, "a1", 9)
	_, err := u.Undo(ann, db, "sheet") // b1: what Bob has done since stays
	show()
	_, refused := u.Undo(ann, db, "sheet") // a1 is Bob's by now
	fmt.Println(refused)
	_, redone := u.Redo(ann, db, "sheet")
	show()
	fmt.Println(err, redone)
	// Output:
	// map[a1:9] <nil>
	// undo in "cells-sheet" refused: version 3 (CellSet by bob) has changed .Cell.a1 since
	// map[a1:9 b1:2] <nil>
	// <nil> <nil>
}

func ExampleInverse() {
	// A counter's step is reversed by a step back, whatever others have counted since.
	u := undo.New(boards, undo.Inverse(func(_ *Board, e Visited) []any { return []any{Visited{-e.Times}} }))

	log := memstore.New(nil)
	defer log.Close()
	db := annals.New(log, nil)
	ann, bob := annals.WithActor(context.Background(), "ann"), annals.WithActor(context.Background(), "bob")
	visit := func(times int) func(*Board) error {
		return func(b *Board) error { return b.Record(Visited{times}) }
	}
	_, err1 := boards.Add(ann, db, "b", visit(3))
	_, err2 := boards.Update(bob, db, "b", visit(4))
	_, err3 := u.Undo(ann, db, "b")
	b, err4 := boards.Load(db.View(ann), "b")
	fmt.Println(b.Visits, errors.Join(err1, err2, err3, err4))
	// Output: 4 <nil>
}

package guide_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/memstore"
)

// code: events
type CourseDefined struct {
	Course string
	Seats  int
}

func (e CourseDefined) Tags() []string { return []string{"course:" + e.Course} }

type Enrolled struct{ Course, Student string }

func (e Enrolled) Tags() []string { return []string{"course:" + e.Course, "student:" + e.Student} }

// end

// code: models
type Room struct{ Seats, Taken int }

var Rooms = annals.NewModel("room",
	annals.On(func(r *Room, e CourseDefined) { r.Seats = e.Seats }),
	annals.On(func(r *Room, e Enrolled) { r.Taken++ }),
)

type Load struct{ Courses int }

var Loads = annals.NewModel("load", annals.On(func(l *Load, e Enrolled) { l.Courses++ }))

// end

// code: enrol
func enrol(course, student string) func(tx *annals.Tx) error {
	return func(tx *annals.Tx) error {
		room, err := Rooms.Fold(tx, "course:"+course)
		if err != nil {
			return err
		}
		load, err := Loads.Fold(tx, "student:"+student)
		if err != nil {
			return err
		}
		switch {
		case room.Taken >= room.Seats:
			return errors.New("the course is full")
		case load.Courses >= 2:
			return errors.New("the student has enough to do")
		}
		return tx.Append(Enrolled{course, student})
	}
}

// end

func Example_boundary() {
	ctx := context.Background()
	db := annals.New(memstore.New(nil), nil)
	db.Update(ctx, func(tx *annals.Tx) error {
		return errors.Join(tx.Append(CourseDefined{"go", 1}), tx.Append(CourseDefined{"sql", 9}))
	})
	// code: run
	_, err := db.Update(ctx, enrol("go", "ada"))
	fmt.Println(err)
	_, err = db.Update(ctx, enrol("go", "bob"))
	fmt.Println(err)
	// end
	// Output:
	// <nil>
	// the course is full
}

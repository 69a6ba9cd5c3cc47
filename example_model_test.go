package annals_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/codec"
	"github.com/annals-db/annals/codec/cbor"
	"github.com/annals-db/annals/memstore"
)

// SeatBooked belongs to no entity: it has tags.
type SeatBooked struct{ Show, Guest string }

func (e SeatBooked) Tags() []string { return []string{"show:" + e.Show, "guest:" + e.Guest} }

type SeatsTaken struct{ N int }

var SeatsOfShow = annals.NewModel("booking", annals.On(func(s *SeatsTaken, e SeatBooked) { s.N++ }))

func ExampleModel_Fold() {
	ctx := context.Background()
	db := annals.New(memstore.New(nil), nil)
	book := func(show, guest string) error {
		_, err := db.Update(ctx, func(tx *annals.Tx) error {
			seats, err := SeatsOfShow.Fold(tx, "show:"+show)
			if err != nil {
				return err
			}
			if seats.N == 2 {
				return errors.New("sold out")
			}
			return tx.Append(SeatBooked{show, guest})
		})
		return err
	}
	fmt.Println(book("hamlet", "ann"), book("lear", "ann"), book("hamlet", "bob"), book("hamlet", "cid"))
	// Output: <nil> <nil> <nil> sold out
}

func ExampleTx_Append() {
	ctx := context.Background()
	db := annals.New(memstore.New(nil), nil)
	_, err := db.Update(ctx, func(tx *annals.Tx) error {
		return tx.Append(SeatBooked{"hamlet", "ann"}, annals.WithTags("channel:web"))
	})
	fmt.Println(err)
	for r, err := range db.View(ctx).Read(annals.Query{}) {
		fmt.Println(r.Type, r.Tags, err)
	}
	// Output:
	// <nil>
	// SeatBooked [show:hamlet guest:ann channel:web] <nil>
}

func ExampleTx_Read() {
	ctx := context.Background()
	db := annals.New(memstore.New(nil), nil)
	guest := annals.Match(annals.QueryItem{Types: []string{"SeatBooked"}, Tags: []string{"guest:ann"}})
	receipt, err := db.Update(ctx, func(tx *annals.Tx) error {
		for _, err := range tx.Read(guest) { // from now on nobody else may book for ann
			if err != nil {
				return err
			}
			return errors.New("ann has a seat")
		}
		return tx.Append(SeatBooked{"hamlet", "ann"})
	})
	fmt.Println(receipt.First, err)
	// Output: 1 <nil>
}

type Diary struct {
	annals.Entity
	Words map[string]int
	Last  time.Time
	By    string
}

type EntryWritten struct{ Text string }

func ExampleNewModel() {
	diaries := annals.NewModel("diary",
		annals.Init(func(d *Diary) { d.Words = map[string]int{} }),
		annals.OnEnvelope(func(d *Diary, e EntryWritten, env annals.Envelope) {
			for _, w := range strings.Fields(e.Text) {
				d.Words[w]++
			}
			d.Last, d.By = env.Occurred, env.Metadata.Value("actor")
		}),
	)
	ctx := annals.WithActor(context.Background(), "ann")
	db := annals.New(memstore.New(nil), &annals.Options{Clock: func() time.Time { return day(7) }})
	_, err := diaries.Add(ctx, db, "2026", func(d *Diary) error { return d.Record(EntryWritten{"rain and rain"}) })
	fmt.Println(err)
	d, err := diaries.Load(db.View(ctx), "2026")
	fmt.Println(d.Words, d.Last.Day(), d.By, err)
	// Output:
	// <nil>
	// map[and:1 rain:2] 7 ann <nil>
}

func ExampleModel_Snapshots() {
	type Meter struct {
		annals.Entity
		Total int
	}
	meters := annals.NewModel("meter",
		annals.On(func(m *Meter, e Deposited) { m.Total += e.Amount }),
	).Snapshots(100, "v1") // every 100 events; "v2" once Meter or a handler has changed
	ctx := context.Background()
	db := annals.New(memstore.New(nil), nil)
	meters.Add(ctx, db, "m", func(m *Meter) error {
		var err error
		for range 250 {
			err = errors.Join(err, m.Record(Deposited{1}))
		}
		return err
	})
	m, err := meters.Load(db.View(ctx), "m")
	fmt.Println(m.Total, m.Version(), err)
	// Output: 250 250 <nil>
}

// A user signed up under another name of the event once, and before that with
// the name in one piece; and a merge has brought in two things at once.
type (
	SignedUp   struct{ First, Last string }
	MailChosen struct{ Mail string }
	signedUpV1 struct{ Name string }
	imported   struct{ First, Last, Mail string }
)

var (
	_ = annals.Declare[SignedUp]("signed-up.v2", annals.Formerly("UserSignedUp"))
	_ = annals.Upcast("signed-up.v1", func(old signedUpV1) SignedUp {
		first, last, _ := strings.Cut(old.Name, " ")
		return SignedUp{first, last}
	})
	_ = annals.Split("user-imported", func(old imported) []any {
		return []any{SignedUp{old.First, old.Last}, MailChosen{old.Mail}}
	}, SignedUp{}, MailChosen{})
)

type Pressure struct{ Bar float64 }

var _ = annals.Declare[Pressure]("pressure", annals.Encoded(codec.Stack(cbor.Codec)))

func ExampleDeclare() {
	ctx := context.Background()
	db := annals.New(memstore.New(nil), nil)
	db.Update(ctx, func(tx *annals.Tx) error {
		return errors.Join(
			tx.Append(SignedUp{"Ada", "Lovelace"}, annals.WithTags("user:1")),
			tx.Append(Pressure{1.01}, annals.WithTags("sensor:7")),
		)
	})
	for r, err := range db.View(ctx).Read(annals.Query{}) {
		events, _ := db.Decode(r)
		fmt.Println(r.Type, r.Encoding, events, err)
	}
	// Output:
	// signed-up.v2  [{Ada Lovelace}] <nil>
	// pressure cbor [{1.01}] <nil>
}

func ExampleUpcast() {
	db := annals.New(memstore.New(nil), nil)
	old := annals.Record{}
	old.Type, old.Data = "signed-up.v1", []byte(`{"Name":"Ada Lovelace"}`)
	events, err := db.Decode(old)
	fmt.Printf("%+v %v\n", events, err)
	// Output: [{First:Ada Last:Lovelace}] <nil>
}

func ExampleSplit() {
	db := annals.New(memstore.New(nil), nil)
	old := annals.Record{}
	old.Type, old.Data = "user-imported", []byte(`{"First":"Ada","Last":"Lovelace","Mail":"ada@example.org"}`)
	events, err := db.Decode(old)
	fmt.Printf("%+v %v\n", events, err)
	// Output: [{First:Ada Last:Lovelace} {Mail:ada@example.org}] <nil>
}

func ExampleNameID() {
	ctx := context.Background()
	db := bank(ctx)
	paid := annals.WithID(annals.NameID("invoice 7", "paid"))
	for range 2 {
		receipt, err := db.Update(ctx, func(tx *annals.Tx) error {
			return tx.Append(Deposited{70}, annals.WithTags("invoice:7"), paid)
		})
		fmt.Println(receipt.First, receipt.Repeated, err)
	}
	// Output:
	// 2 false <nil>
	// 2 true <nil>
}

func ExampleWithMetadata() {
	ctx := annals.WithMetadata(annals.WithActor(context.Background(), "ann"), "reason", "stocktaking")
	db := bank(ctx)
	for r, err := range db.View(ctx).Read(annals.Query{}) {
		fmt.Println(r.Metadata.Value("actor"), r.Metadata.Value("reason"), err)

		followUp := annals.WithCause(context.Background(), r)
		Accounts.Update(followUp, db, "alice", func(a *Account) error { return a.Withdraw(1) })
		page, _ := db.Select(ctx, 2, 1)
		fmt.Println(page[0].Metadata.Value("causation") == r.ID.String())
	}
	// Output:
	// ann stocktaking <nil>
	// true
}

func ExampleConflictError() {
	ctx := context.Background()
	db := bank(ctx)
	other := annals.New(db.Log(), nil)
	hasty := annals.New(db.Log(), &annals.Options{Attempts: 1})
	_, err := Accounts.Update(ctx, hasty, "alice", func(a *Account) error {
		Accounts.Update(ctx, other, "alice", func(a *Account) error { return a.Deposit(1) }) // faster
		return a.Deposit(2)
	})
	var conflict *annals.ConflictError
	fmt.Println(errors.As(err, &conflict))
	fmt.Println(conflict.Condition, "|", conflict.Version, conflict.Head)
	// Output:
	// true
	// stream "account-alice" at version 1 | 2 2
}

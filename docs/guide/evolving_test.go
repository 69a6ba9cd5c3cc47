package guide_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/annalstest"
)

// code: person
type Person struct {
	annals.Entity
	First, Last, Mail string
}

type PersonNamed struct{ First, Last string }
type MailChanged struct{ Mail string }

var People = annals.NewModel("person",
	annals.On(func(p *Person, e PersonNamed) { p.First, p.Last = e.First, e.Last }),
	annals.On(func(p *Person, e MailChanged) { p.Mail = e.Mail }),
)

// end

// code: rename
var _ = annals.Declare[PersonNamed]("person-named.v2", annals.Formerly("PersonCalled"))

// end

// code: upcast
type personNamedV1 struct{ Name string }

var _ = annals.Upcast("person-named", func(old personNamedV1) PersonNamed {
	first, last, _ := strings.Cut(old.Name, " ")
	return PersonNamed{first, last}
})

// end

// code: split
type personImported struct{ First, Last, Mail string }

var _ = annals.Split("person-imported", func(old personImported) []any {
	return []any{PersonNamed{old.First, old.Last}, MailChanged{old.Mail}}
}, PersonNamed{}, MailChanged{})

// end

// code: test
func TestOldEvents(t *testing.T) {
	r := annalstest.New(t, nil).
		Given(annalstest.In("person-1",
			annalstest.Stored{Type: "person-imported", Data: `{"First":"Ada","Last":"King","Mail":"ada@example.org"}`},
			annalstest.Stored{Type: "person-named", Data: `{"Name":"Ada Lovelace"}`})).
		When(annalstest.Update(People, "1", func(p *Person) error { return p.Record(MailChanged{"ada@example.com"}) }))
	annalstest.State(r, People, "1", Person{First: "Ada", Last: "Lovelace", Mail: "ada@example.com"})
}

// end

// code: strict
var Statements = annals.NewModel("account",
	annals.On(func(a *Account, e Deposited) { a.Balance += e.Amount }),
).Strict()

// end

func Example_strict() {
	ctx := context.Background()
	db := bank(ctx)
	_, err := Statements.Load(db.View(ctx), "ada")
	fmt.Println(err)
	// Output: load "account-ada": position 1: model "account" does not handle events of type "Opened"
}

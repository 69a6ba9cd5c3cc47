package guide_test

import (
	"testing"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/annalstest"
)

// code: entity
func TestWithdraw(t *testing.T) {
	rich := annalstest.In("account-ada", Opened{"Ada"}, Deposited{100})

	t.Run("takes from the balance", func(t *testing.T) {
		r := annalstest.New(t, nil).
			Given(rich).
			When(annalstest.Update(Accounts, "ada", func(a *Account) error { return a.Withdraw(30) })).
			Then(annalstest.In("account-ada", Withdrawn{30}))
		annalstest.State(r, Accounts, "ada", Account{Owner: "Ada", Balance: 70})
	})
	t.Run("is refused beyond it", func(t *testing.T) {
		annalstest.New(t, nil).
			Given(rich).
			When(annalstest.Update(Accounts, "ada", func(a *Account) error { return a.Withdraw(101) })).
			ThenErrorSays("only 100 left")
	})
}

// end

// code: tags
func TestEnrol(t *testing.T) {
	annalstest.New(t, nil).
		Given(CourseDefined{"go", 2}, Enrolled{"go", "bob"}).
		Beside(CourseDefined{"sql", 1}, Enrolled{"sql", "bob"}).
		When(enrol("go", "ada")).
		Then(Enrolled{"go", "ada"})
}

// end

// code: clock
func TestTime(t *testing.T) {
	r := annalstest.New(t, nil).
		At(day(5)).Given(annalstest.In("account-ada", Deposited{100})).
		Later(48 * time.Hour).
		When(annalstest.Update(Accounts, "ada", func(a *Account) error { return a.Deposit(50) })).
		Then(annalstest.In("account-ada", Deposited{50}).With(annals.At(day(7))))
	a, err := Accounts.Load(r.View().AsOf(day(6)), "ada")
	if err != nil || a.Balance != 100 {
		t.Errorf("on the 6th: %+v, %v", a, err)
	}
}

// end

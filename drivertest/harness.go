package drivertest

import (
	"testing"
	"time"

	"github.com/annals-db/annals/driver"
)

// Harness opens the store under test. A harness that cannot do what is asked
// calls t.Skip with the reason; one that fails calls t.Fatal.
type Harness interface {
	// Open opens a new, empty log, kept where its other logs are kept if the
	// store can hold several in one place. If clock is not nil, it is the only
	// clock the store asks, at any time and from any goroutine. The suite
	// closes the log.
	Open(t testing.TB, clock func() time.Time) driver.Log

	// Reopen closes log, which Open or Reopen returned, and opens it again
	// from what it has made durable, with the same clock.
	Reopen(t testing.TB, log driver.Log) driver.Log

	// Second opens another handle on log, which stays open, as another
	// process would; it may be read-only. The suite closes it.
	Second(t testing.TB, log driver.Log) driver.Log
}

// Run runs the suite on the store that h opens: once as it is, and once
// through [Flaky] with a caller that retries as the contract says.
func Run(t *testing.T, h Harness) {
	runAll(t, h)
	t.Run("flaky", func(t *testing.T) { runAll(t, flakyHarness{h}) })
}

// runAll runs every noun.
func runAll(t *testing.T, h Harness) {
	for _, n := range nouns {
		t.Run(n.name, func(t *testing.T) {
			for _, c := range n.tests {
				t.Run(c.name, func(t *testing.T) { c.run(open(t, h)) })
			}
		})
	}
}

// noun is what a file of the suite tests.
type noun struct {
	name  string
	tests []test
}

// test is one sentence of the contract.
type test struct {
	name string
	run  func(e *env)
}

var nouns = []noun{
	{"append", appendTests},
	{"batch", batchTests},
	{"read", readTests},
	{"query", queryTests},
	{"condition", conditionTests},
	{"id", idTests},
	{"time", timeTests},
	{"wait", waitTests},
	{"subscription", subscriptionTests},
	{"invalid", invalidTests},
	{"limit", limitTests},
	{"record", recordTests},
	{"race", raceTests},
	{"model", modelTests},
	{"submit", submitTests},
	{"locate", locateTests},
	{"version", versionTests},
	{"hash", hashTests},
	{"verify", verifyTests},
	{"state", stateTests},
	{"reopen", reopenTests},
	{"second", secondTests},
	{"isolation", isolationTests},
	{"close", closeTests},
}

// Package drivertest is the conformance suite of the stores: every promise
// that package driver makes is a named test here, and every store runs all of
// them.
//
// To test a store, write a [Harness] of three methods and call [Run] from a
// test and [Bench] from a benchmark:
//
//	func TestConformance(t *testing.T)      { drivertest.Run(t, harness{}) }
//	func BenchmarkConformance(b *testing.B) { drivertest.Bench(b, harness{}) }
//
// What a store does not offer is skipped by name, so the output of go test -v
// says what was not tested. The tests that draw at random print their seed;
// ANNALS_SEED=n repeats one, ANNALS_SEEDS=n runs that many.
//
// [Flaky] makes a log unreliable by seed within what the contract allows, for
// the tests of what is built upon a log.
package drivertest

//go:build !unix

package replica_test

func nodeMain() {}

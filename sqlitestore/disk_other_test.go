//go:build !unix

package sqlitestore_test

import "errors"

func fillDisk(string) error { return errors.New("there is no limit on the size of files here") }

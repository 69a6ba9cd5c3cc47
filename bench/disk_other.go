//go:build !unix

package main

import "io/fs"

// allocated is what a file takes on the disk, as far as the system says.
func allocated(info fs.FileInfo) int64 { return info.Size() }

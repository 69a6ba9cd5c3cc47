//go:build !unix

package measure

import (
	"io/fs"
	"time"
)

// allocated is what a file takes on the disk, as far as the system says.
func allocated(info fs.FileInfo) int64 { return info.Size() }

// CPUTime is the CPU time that this process has used, as far as the system says.
func CPUTime() time.Duration { return 0 }

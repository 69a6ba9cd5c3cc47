package pgserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

// debian is where Debian's packages put the programs of each version.
const debian = "/usr/lib/postgresql"

var errMissing = errors.New("PostgreSQL is not installed: install Debian's package postgresql, or name the directory of initdb and postgres in ANNALS_PG_BIN")

// Bin returns the path of one of PostgreSQL's programs, such as "pg_dump".
func Bin(program string) (string, error) {
	if dir := os.Getenv("ANNALS_PG_BIN"); dir != "" {
		return filepath.Join(dir, program), nil
	}
	versions, _ := filepath.Glob(debian + "/*/bin/" + program)
	if len(versions) > 0 {
		return slices.MaxFunc(versions, func(a, b string) int { return version(a) - version(b) }), nil
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%w (%s was not found)", errMissing, program)
	}
	return path, nil
}

// version returns the 15 of /usr/lib/postgresql/15/bin/postgres.
func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

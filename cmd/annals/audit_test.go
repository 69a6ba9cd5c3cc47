package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/annals-db/annals/internal/pgserver"
)

// TestAuditScripts runs the shell sessions in testdata/audit, each on a database of its own.
func TestAuditScripts(t *testing.T) {
	server := pgserver.ForTest(t, &pgserver.Options{Settings: map[string]string{"wal_level": "logical"}})
	plain := pgserver.ForTest(t, nil)
	psql, err := pgserver.Bin("psql")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/audit",
		Setup: func(e *testscript.Env) error {
			e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, "config"))
			url := server.NewDatabase(t)
			e.Setenv("ANNALS_POSTGRES", url)
			e.Setenv("KEEPER", strings.Replace(url, pgserver.User+"@", "keeper@", 1)) // for a script that makes this user
			e.Setenv("PLAIN", plain.NewDatabase(t))                                   // of a server whose wal_level is too low
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "flip": flip,
			// sql STATEMENT... runs SQL; SET is a variable that is set to what it prints.
			"sql": func(ts *testscript.TestScript, _ bool, args []string) {
				set, isSet := strings.CutPrefix(args[0], "set=")
				if isSet {
					args = args[1:]
				}
				out, err := exec.Command(psql, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", ts.Getenv("ANNALS_POSTGRES"), "-c", strings.Join(args, " ")).CombinedOutput()
				if err != nil {
					ts.Fatalf("%v: %s", err, out)
				}
				if isSet {
					ts.Setenv(set, strings.TrimSpace(string(out)))
				}
			},
		},
	})
}

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/annals-db/annals/internal/pgserver"
)

const want = `1 TIME item-laptop ItemCreated {"Name":"Laptop","Quantity":10}
2 TIME item-laptop QuantityIncreased {"Amount":5}
3 TIME item-laptop QuantityDecreased {"Amount":3}
4 TIME item-laptop QuantityDecreased {"Amount":8}
Now there are 4
At version 3 there were 12
At version 2 there were 15
At version 1 there were 10
`

func TestRunOnAnyStore(t *testing.T) {
	times := regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`)
	for _, url := range []string{"mem:", "file:" + t.TempDir(), "sqlite:" + filepath.Join(t.TempDir(), "log.db"), pgserver.Shared(t).NewDatabase(t)} {
		var out bytes.Buffer
		if err := run(t.Context(), &out, url); err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		if got := times.ReplaceAllString(out.String(), "TIME"); got != want {
			t.Errorf("%s: got\n%swant\n%s", url, got, want)
		}
	}
}

func TestMain(m *testing.M) {
	code := m.Run()
	pgserver.StopShared()
	os.Exit(code)
}

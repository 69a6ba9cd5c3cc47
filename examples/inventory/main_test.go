package main

import (
	"bytes"
	"regexp"
	"testing"
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

func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	times := regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`)
	if got := times.ReplaceAllString(out.String(), "TIME"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

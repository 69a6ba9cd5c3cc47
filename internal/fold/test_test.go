package fold_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/annals-db/annals/internal/fold"
)

func TestTesting(t *testing.T) {
	data := []string{`{"q":2}`, `{"q":-5}`, `{"q":4}`, `{"q":9}`}
	sum := compile(t, ".sum += $event.data.q")
	for _, c := range []struct {
		name, predicate, want string
		of                    *fold.Fold
	}{
		{"of the state", ".sum > 0", "true false true true", sum},
		{"of the event too", `$event.version == 2 or $event.type != "Changed"`, "false true false false", sum},
		{"of a merge", ".q < 3", "true true false false", fold.Merge()},
		{"by what is neither false nor null", "if .sum == 2 then 0 elif .sum == -3 then null else \"\" end", "true false true true", sum},
		{"with a comma in it", "[.sum, 1] | length == 2", "true true true true", sum},
	} {
		t.Run(c.name, func(t *testing.T) {
			tested, err := c.of.Testing(c.predicate)
			if err != nil {
				t.Fatal(err)
			}
			plain, with := c.of.Start(t.Context()), tested.Start(t.Context())
			defer plain.Close()
			defer with.Close()
			var got []string
			for rec := range records(data...) {
				if err := plain.Apply(&rec); err != nil {
					t.Fatal(err)
				}
				if err := with.Apply(&rec); err != nil {
					t.Fatal(err)
				}
				got = append(got, fmt.Sprint(with.Holds()))
				x, _ := fold.Marshal(plain.State())
				y, _ := fold.Marshal(with.State())
				if string(x) != string(y) {
					t.Fatalf("the state is %s, without a test %s", y, x)
				}
			}
			if err := with.Finish(); err != nil || strings.Join(got, " ") != c.want {
				t.Errorf("got %v, %v, want %s", got, err, c.want)
			}
		})
	}
	for _, bad := range []string{"", "(", "now", "input", "$nothing", "env.HOME", ") , ("} {
		if _, err := sum.Testing(bad); err == nil && bad != "" {
			t.Errorf("the predicate %q was taken", bad)
		}
	}
	for _, failing := range []string{"empty", ".sum, .sum", `error("no")`, ".sum | keys"} {
		tested, err := sum.Testing(failing)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := tested.Over(context.Background(), records(data...)); err == nil || !strings.Contains(err.Error(), "position 10") {
			t.Errorf("the predicate %q: got %v", failing, err)
		}
	}
}

func TestStartFrom(t *testing.T) {
	f := compile(t, ".sum += $event.data | .seen += [$event.version]")
	whole := state(t, f, "1", "2", "3", "4")
	r := f.Start(t.Context())
	n := 0
	for rec := range records("1", "2", "3", "4") {
		if n == 2 {
			r.Close()
			r = f.StartFrom(t.Context(), r.State())
		}
		n++
		if err := r.Apply(&rec); err != nil {
			t.Fatal(err)
		}
	}
	defer r.Close()
	if text, err := fold.Marshal(r.State()); err != nil || string(text) != whole {
		t.Errorf("got %s, %v, want %s", text, err, whole)
	}
}

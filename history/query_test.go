package history_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/memstore"
)

func TestQuery(t *testing.T) {
	log := memstore.New(nil)
	for i := range 100 {
		appendTo(t, log, fmt.Sprintf("s-%d", i%3), []string{"A", "B"}[i%2], fmt.Sprintf(`{"n":%d}`, i),
			map[string]string{"actor": []string{"ann", "bob"}[i/50], "k": fmt.Sprint(i % 5)})
	}
	find := func(w history.Where, o annals.ReadOptions) (found []int, err error) {
		for r, err := range history.Query(t.Context(), log, w, o) {
			if err != nil {
				return found, err
			}
			found = append(found, int(r.Position)-1)
		}
		return found, nil
	}
	got, err := find(history.Where{Query: annals.Match(annals.QueryItem{Types: []string{"A"}, Streams: []string{"s-1"}}),
		Metadata: map[string]string{"actor": "bob", "k": "2"}, Test: ".data.n > 60 and .metadata.k == \"2\" # ends\n"}, annals.ReadOptions{})
	var want []int
	for i := range 100 {
		if i%2 == 0 && i%3 == 1 && i >= 50 && i%5 == 2 && i > 60 {
			want = append(want, i)
		}
	}
	if err != nil || !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	got, err = find(history.Where{Test: ".data.n % 7 == 0"}, annals.ReadOptions{Limit: 3, Backward: true})
	if err != nil || !slices.Equal(got, []int{98, 91, 84}) {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = find(history.Where{Test: ".data.n | if . == 5 then error(\"five\") else true end"}, annals.ReadOptions{})
	if err == nil || !strings.Contains(err.Error(), "position 6") || !strings.Contains(err.Error(), "five") {
		t.Errorf("got %v", err)
	}
	for _, bad := range []string{"(", ") | (", "now", "$nothing"} {
		if err := (history.Where{Test: bad}).Check(); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

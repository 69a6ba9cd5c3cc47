package collab

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"testing"

	"github.com/annals-db/annals/internal/chromium"
)

// agreement is a case that Go and JavaScript must agree on, in UTF-16 code units.
type agreement struct {
	Text      string `json:"text"`
	A         Change `json:"a"`
	B         Change `json:"b"`
	Next      Change `json:"next"` // of the text after A
	AfterA    string `json:"afterA"`
	A2        Change `json:"a2"` // where A comes first
	B2        Change `json:"b2"`
	A3        Change `json:"a3"` // where B comes first
	B3        Change `json:"b3"`
	Composed  Change `json:"composed"`
	Inverse   Change `json:"inverse"`
	Stays     []int  `json:"stays"` // where the code points' positions are after A
	Goes      []int  `json:"goes"`
	End       int    `json:"end"`
	Diff      Change `json:"diff"` // from Text to AfterA
	Positions []int  `json:"positions"`
}

const script = `(async (cases) => {
	const c = await import("/text/change.js");
	return JSON.stringify(cases.map(({ text, a, b, next, positions }) => {
		const [a2, b2] = c.transform(a, b, true);
		const [a3, b3] = c.transform(a, b, false);
		const afterA = c.apply(text, a);
		return { text, a, b, next, afterA, a2, b2, a3, b3, composed: c.compose(a, next), inverse: c.invert(text, a),
			stays: positions.map((p) => c.map(a, p, false)), goes: positions.map((p) => c.map(a, p, true)),
			end: c.end(a), diff: c.diff(text, afterA), positions };
	}));
})(%s)`

// TestJavaScriptAndGoAgree has the page's module do in Chromium what Go does.
func TestJavaScriptAndGoAgree(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	page := modules(t)
	cases := max(10*(*seeds), 1000)
	for from := 0; from < cases; from += 500 {
		var want, got []agreement
		for seed := from; seed < from+500; seed++ {
			want = append(want, agree(t, uint64(seed)))
		}
		data, err := json.Marshal(want)
		ok(t, err)
		ok(t, json.Unmarshal([]byte(chromium.Eval[string](page, fmt.Sprintf(script, data))), &got))
		for i := range want {
			if !reflect.DeepEqual(got[i], want[i]) {
				g, _ := json.Marshal(got[i])
				w, _ := json.Marshal(want[i])
				t.Fatalf("seed %d: JavaScript gives\n%s\nGo\n%s", from+i, g, w)
			}
		}
	}
	t.Logf("%d texts with changes transformed, composed, inverted, compared: equal", cases)
}

// modules opens a page that can import the modules of examples/editor.
func modules(t *testing.T) *chromium.Page {
	t.Helper()
	files := http.FileServerFS(os.DirFS("../examples/editor/static"))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			w.Header().Set("Content-Type", "text/html")
			return
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	page := chromium.Start(t).User()
	page.Go(srv.URL)
	return page
}

func agree(t *testing.T, seed uint64) agreement {
	rnd := rand.New(rand.NewPCG(seed, 2))
	text := NewText(randomText(rnd, 20))
	a, b := randomChange(rnd, text.Len()), randomChange(rnd, text.Len())
	afterA, err := text.Apply(a)
	ok(t, err)
	afterB, err := text.Apply(b)
	ok(t, err)
	next := randomChange(rnd, afterA.Len())
	a2, b2 := transform(a, b, true)
	a3, b3 := transform(a, b, false)
	c := agreement{Text: text.String(), AfterA: afterA.String(),
		A: text.toWire(a, UTF16), B: text.toWire(b, UTF16), Next: afterA.toWire(next, UTF16),
		A2: afterB.toWire(a2, UTF16), B2: afterA.toWire(b2, UTF16), A3: afterB.toWire(a3, UTF16), B3: afterA.toWire(b3, UTF16),
		Composed: text.toWire(a.Compose(next), UTF16), Inverse: afterA.toWire(text.Invert(a), UTF16),
		End: afterA.positionToWire(a.end(), UTF16), Diff: text.toWire(Diff(text.String(), afterA.String()), UTF16),
		Stays: []int{}, Goes: []int{}, Positions: []int{},
	}
	for p := range text.Len() + 1 {
		c.Positions = append(c.Positions, text.positionToWire(p, UTF16))
		c.Stays = append(c.Stays, afterA.positionToWire(a.Map(p, false), UTF16))
		c.Goes = append(c.Goes, afterA.positionToWire(a.Map(p, true), UTF16))
	}
	// An empty change is written as [].
	for _, change := range []*Change{&c.A, &c.B, &c.Next, &c.A2, &c.B2, &c.A3, &c.B3, &c.Composed, &c.Inverse, &c.Diff} {
		if len(*change) == 0 {
			*change = nil
		}
	}
	return c
}

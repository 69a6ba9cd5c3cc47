package guide_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/collab"
	"github.com/annals-db/annals/memstore"
)

func userOf(r *http.Request) string { return r.URL.Query().Get("user") }

func Example_collaboration() {
	ctx := context.Background()
	log := memstore.New(nil)
	defer log.Close()
	mux := http.NewServeMux()
	// code: serve
	docs, err := collab.New(ctx, annals.New(log, nil), nil)
	if err != nil {
		panic(err)
	}
	defer docs.Close()
	mux.HandleFunc("GET /texts/{name}/connect", func(w http.ResponseWriter, r *http.Request) {
		docs.ServeEditor(w, r, r.PathValue("name"), userOf(r))
	})
	// end
	server := httptest.NewServer(mux)
	defer server.Close()
	defer docs.Close()

	// code: document
	doc, err := docs.Open(ctx, "notes")
	if err != nil {
		panic(err)
	}
	defer doc.Close()
	_, err0 := doc.Submit(ctx, collab.Proposal{Author: "ann", Base: 0, Change: collab.Insert(0, "Meet at the pond")})
	_, err1 := doc.Submit(ctx, collab.Proposal{Author: "ann", Base: 1, Change: collab.Insert(16, " at noon")})
	_, err2 := doc.Submit(ctx, collab.Proposal{Author: "bob", Base: 1, Change: collab.Replace(12, 4, "well")})
	text, version := doc.Text() // "Meet at the well at noon", 3
	// end
	if err0 != nil || err1 != nil || err2 != nil || version != 3 || text.String() != "Meet at the well at noon" {
		fmt.Println(version, text.String(), err0, err1, err2)
	}

	url := "ws" + strings.TrimPrefix(server.URL, "http") + "/texts/notes/connect?user=bot"
	// code: client
	bot, err := collab.Dial(ctx, url, nil)
	if err != nil {
		panic(err)
	}
	defer bot.Close()
	err = bot.Edit(func(now collab.Text) collab.Change {
		return collab.Diff(now.String(), strings.ReplaceAll(now.String(), "noon", "12:00"))
	})
	if err == nil {
		err = bot.Settle(ctx)
	}
	// end
	if err != nil {
		fmt.Println(err)
	}
	for r, err := range log.Read(ctx, annals.Query{}, annals.ReadOptions{Limit: 3}) {
		fmt.Println(r.Stream, r.Version, r.Metadata.Value("actor"), string(r.Data), err)
	}
	// Output:
	// text-notes 1 ann {"Change":["Meet at the pond"]} <nil>
	// text-notes 2 ann {"Change":[16," at noon"]} <nil>
	// text-notes 3 bob {"Change":[12,"well",-4]} <nil>
}

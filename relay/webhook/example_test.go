package webhook_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/relay"
	"github.com/annals-db/annals/relay/webhook"
)

func Example() {
	ctx, secret := context.Background(), "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		hook, err := standardwebhooks.NewWebhook(secret)
		if err == nil {
			err = hook.Verify(body, r.Header)
		}
		fmt.Println("verified:", err == nil)
	}))
	defer endpoint.Close()
	log := memstore.New(nil)
	e := driver.Event{ID: uuid.New(), Stream: "order-1", Type: "Placed", Data: []byte(`{}`)}
	if _, err := log.Append(ctx, driver.Batch{Events: []driver.Event{e}}); err != nil {
		fmt.Println(err)
		return
	}
	sink, err := webhook.New(endpoint.URL, secret, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := relay.New(log, "partner", sink, &relay.Options{Attempts: 10})
	if err != nil {
		fmt.Println(err)
		return
	}
	position, err := r.Drain(ctx)
	fmt.Println("published up to", position, err)
	// Output:
	// verified: true
	// published up to 1 <nil>
}

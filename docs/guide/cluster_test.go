package guide_test

import (
	"context"
	"fmt"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/replica"
)

// node is compiled; that it runs is tested in package replica, on a cluster.
func node(ctx context.Context) error {
	// code: open
	log, err := replica.Open(ctx,
		"nats://app:secret@n1:4222,nats://app:secret@n2:4222,nats://app:secret@n3:4222",
		"/var/lib/annals", // this node's copy
		&replica.Options{Name: "bank", System: "nats://sys:secret@n1:4222,nats://sys:secret@n2:4222,nats://sys:secret@n3:4222"})
	if err != nil {
		return err
	}
	defer log.Close()
	db := annals.New(log, nil)
	// end
	_ = db
	// code: status
	for range time.Tick(10 * time.Second) {
		st, err := log.Status(ctx)
		if err != nil || st.Fault != nil || st.Stuck != nil || st.Behind > 1000 {
			fmt.Println("alarm:", st, err)
		}
	}
	// end
	return nil
}

var _ = node

package main

import (
	"context"
	"time"

	eh "github.com/looplab/eventhorizon"
	"github.com/looplab/eventhorizon/aggregatestore/events"
	"github.com/looplab/eventhorizon/eventstore/memory"
	"github.com/looplab/eventhorizon/uuid"
)

const (
	horizonType      eh.AggregateType = "item"
	horizonDecreased eh.EventType     = "QuantityDecreased"
)

type horizonData struct {
	SKU      string
	Quantity int
	Price    int64
	Reason   string
}

type horizonItem struct {
	*events.AggregateBase
	sold int
}

func newHorizonItem(id uuid.UUID) *horizonItem {
	return &horizonItem{AggregateBase: events.NewAggregateBase(horizonType, id)}
}

func init() {
	eh.RegisterAggregate(func(id uuid.UUID) eh.Aggregate { return newHorizonItem(id) })
	eh.RegisterEventData(horizonDecreased, func() eh.EventData { return &horizonData{} })
}

// HandleCommand is not used: the benchmark calls sell.
func (i *horizonItem) HandleCommand(context.Context, eh.Command) error { return nil }

func (i *horizonItem) ApplyEvent(_ context.Context, e eh.Event) error {
	if d, ok := e.Data().(*horizonData); ok {
		i.sold += d.Quantity
	}
	return nil
}

func (i *horizonItem) sell(n int) {
	i.AppendEvent(horizonDecreased, &horizonData{SKU: sku, Quantity: n, Price: price, Reason: reason}, time.Now())
}

type onHorizon struct {
	store *events.AggregateStore
	items map[string]*horizonItem
	big   uuid.UUID
}

func openHorizon(string) (system, error) {
	log, err := memory.NewEventStore()
	if err != nil {
		return nil, err
	}
	store, err := events.NewAggregateStore(log)
	if err != nil {
		return nil, err
	}
	h := &onHorizon{store: store, items: map[string]*horizonItem{}, big: uuid.New()}
	for w := range writers {
		for n := range perWriter {
			h.items[itemID(w, n)] = newHorizonItem(uuid.New())
		}
	}
	h.items["big"] = newHorizonItem(h.big)
	return h, nil
}

func (h *onHorizon) save(writer, n int) error {
	i := h.items[itemID(writer, n)]
	i.sell(1)
	return h.store.Save(context.Background(), i)
}

func (h *onHorizon) fill(events int) error {
	i := h.items["big"]
	for range events / 100 {
		for range 100 {
			i.sell(1)
		}
		if err := h.store.Save(context.Background(), i); err != nil {
			return err
		}
	}
	return nil
}

func (h *onHorizon) load() (int, error) {
	a, err := h.store.Load(context.Background(), horizonType, h.big)
	if err != nil {
		return 0, err
	}
	return a.(*horizonItem).sold, nil
}

func (h *onHorizon) readAll() (int, error) { return 0, errNone }

func (h *onHorizon) close() error { return nil }

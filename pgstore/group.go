package pgstore

import (
	"slices"

	"github.com/annals-db/annals/driver"
)

// The most that one call of append takes, beside the first batch.
const (
	groupEvents = 4096
	groupBytes  = 8 << 20
	groupNear   = 1 << 14
)

// appendParams are the parameters of the function append, and, but for the
// first, the columns of the inbox.
var appendParams = []string{
	"judge_only", "clock", "batch_events", "batch_conditions", "batch_time", "streams", "event_stream", "event_stream_name", "event_id",
	"event_type", "event_encoding", "event_tags", "event_metadata", "event_conditions", "event_occurred", "event_data", "leaf_stream",
	"leaf_name", "leaf_about", "leaf_rest", "condition_kind", "condition_stream", "condition_version", "condition_after", "key_condition",
	"key_path", "key_value", "key_types", "key_tags", "key_streams", "key_category", "key_ids", "near_condition", "near_event",
}

// group is some batches as the function append takes them.
type group struct {
	requests []*request
	bytes    int
	ids      map[driver.ID]struct{}
	ordinal  map[string]int32 // of a stream
	near     nearby

	batchEvents, batchConditions                         []int32
	batchTime                                            []*int64
	streams                                              []string
	eventStream                                          []int32
	eventName                                            []*string
	eventID                                              [][16]byte
	eventType, eventEncoding                             []string
	eventTags, eventMetadata, eventConditions            []*string
	eventOccurred                                        []*int64
	eventData, leafStream, leafName, leafAbout, leafRest [][]byte
	conditionKind, conditionStream                       []int32
	conditionVersion, conditionAfter                     []int64
	keyCondition, keyPath                                []int32
	keyValue                                             []string
	keyTypes, keyTags, keyStreams, keyCategory, keyIDs   []*string
	nearCondition, nearEvent                             []int32
}

func newGroup() *group {
	return &group{ids: map[driver.ID]struct{}{}, ordinal: map[string]int32{}, streams: []string{}, nearCondition: []int32{}, nearEvent: []int32{},
		conditionKind: []int32{}, conditionStream: []int32{}, conditionVersion: []int64{}, conditionAfter: []int64{},
		keyCondition: []int32{}, keyPath: []int32{}, keyValue: []string{}, keyTypes: []*string{}, keyTags: []*string{}, keyStreams: []*string{},
		keyCategory: []*string{}, keyIDs: []*string{}}
}

// args are the arguments of append behind the clock.
func (g *group) args() []any {
	return []any{g.batchEvents, g.batchConditions, g.batchTime, g.streams, g.eventStream, g.eventName, g.eventID,
		g.eventType, g.eventEncoding, g.eventTags, g.eventMetadata, g.eventConditions, g.eventOccurred, g.eventData, g.leafStream,
		g.leafName, g.leafAbout, g.leafRest, g.conditionKind, g.conditionStream, g.conditionVersion, g.conditionAfter, g.keyCondition,
		g.keyPath, g.keyValue, g.keyTypes, g.keyTags, g.keyStreams, g.keyCategory, g.keyIDs, g.nearCondition, g.nearEvent}
}

// fits reports whether r may be in the group.
func (g *group) fits(r *request) bool {
	if len(g.requests) == 0 {
		return true
	}
	if len(g.eventID)+len(r.batch.Events) > groupEvents || g.bytes+r.bytes > groupBytes || len(g.nearEvent) > groupNear {
		return false
	}
	for i := range r.batch.Events {
		if _, ok := g.ids[r.batch.Events[i].ID]; ok {
			return false // judged when the other's fate is known
		}
	}
	return true
}

// add takes r into the group.
func (g *group) add(r *request) {
	r.first, r.condition = len(g.eventID), len(g.conditionKind)
	g.requests = append(g.requests, r)
	g.bytes += r.bytes
	g.addConditions(r)
	for i := range r.batch.Events {
		g.addEvent(&r.batch.Events[i], &r.encoded[i])
	}
	var at *int64
	if !r.batch.Time.IsZero() {
		at = new(r.batch.Time.UnixNano())
	}
	g.batchTime = append(g.batchTime, at)
	g.batchEvents = append(g.batchEvents, int32(len(g.eventID)))
	g.batchConditions = append(g.batchConditions, int32(len(g.conditionKind)))
}

// stream returns the ordinal of a stream, 0 for none.
func (g *group) stream(name string) int32 {
	if name == "" {
		return 0
	}
	n, ok := g.ordinal[name]
	if !ok {
		g.streams = append(g.streams, name)
		n = int32(len(g.streams))
		g.ordinal[name] = n
	}
	return n
}

func (g *group) addEvent(ev *driver.Event, e *encoded) {
	g.ids[ev.ID] = struct{}{}
	g.near.add(ev)
	var name *string
	if ev.Stream != "" {
		name = &ev.Stream
	}
	g.eventStream = append(g.eventStream, g.stream(ev.Stream))
	g.eventName = append(g.eventName, name)
	g.eventID = append(g.eventID, ev.ID)
	g.eventType = append(g.eventType, ev.Type)
	g.eventEncoding = append(g.eventEncoding, ev.Encoding)
	g.eventTags = append(g.eventTags, e.tags)
	g.eventMetadata = append(g.eventMetadata, e.metadata)
	g.eventConditions = append(g.eventConditions, e.conditions)
	g.eventOccurred = append(g.eventOccurred, e.occurred)
	data := ev.Data
	if data == nil {
		data = []byte{}
	}
	g.eventData = append(g.eventData, data)
	g.leafStream = append(g.leafStream, e.leaf.Stream)
	g.leafName = append(g.leafName, e.leaf.Name)
	g.leafAbout = append(g.leafAbout, e.leaf.About)
	g.leafRest = append(g.leafRest, e.leaf.Rest)
}

func (g *group) addConditions(r *request) {
	for i := range r.batch.Conditions {
		c := &r.batch.Conditions[i]
		g.conditionKind = append(g.conditionKind, int32(c.Kind))
		n := int32(len(g.conditionKind))
		if c.Kind != driver.NoneAfterKind {
			g.conditionStream = append(g.conditionStream, g.stream(c.Stream))
			g.conditionVersion = append(g.conditionVersion, clamp(c.Version))
			g.conditionAfter = append(g.conditionAfter, 0)
			continue
		}
		g.conditionStream = append(g.conditionStream, 0)
		g.conditionVersion = append(g.conditionVersion, 0)
		g.conditionAfter = append(g.conditionAfter, clamp(c.After))
		for _, k := range keysOf(c.Query) {
			g.keyCondition = append(g.keyCondition, n)
			g.keyPath = append(g.keyPath, int32(k.path))
			g.keyValue = append(g.keyValue, k.value)
			g.keyTypes = append(g.keyTypes, k.types)
			g.keyTags = append(g.keyTags, k.tags)
			g.keyStreams = append(g.keyStreams, k.streams)
			g.keyCategory = append(g.keyCategory, k.category)
			g.keyIDs = append(g.keyIDs, k.ids)
		}
		for _, e := range g.near.matches(c.Query) {
			g.nearCondition = append(g.nearCondition, n)
			g.nearEvent = append(g.nearEvent, e)
		}
	}
}

// nearby finds the events of a group, by their ordinals, that a query matches.
type nearby struct {
	events   []*driver.Event
	tagged   map[string][]int32
	streamed map[string][]int32
	indexed  int
}

func (n *nearby) add(e *driver.Event) { n.events = append(n.events, e) }

// index takes in what was added since; most groups never ask.
func (n *nearby) index() {
	if n.tagged == nil {
		n.tagged, n.streamed = map[string][]int32{}, map[string][]int32{}
	}
	for ; n.indexed < len(n.events); n.indexed++ {
		e, at := n.events[n.indexed], int32(n.indexed+1)
		for _, t := range e.Tags {
			n.tagged[t] = append(n.tagged[t], at)
		}
		if e.Stream != "" {
			n.streamed[e.Stream] = append(n.streamed[e.Stream], at)
		}
	}
}

// matches returns the ordinals, rising.
func (n *nearby) matches(q driver.Query) []int32 {
	n.index()
	var all []int32
	take := func(i *driver.Item, at int32) {
		if i.Matches(n.events[at-1]) {
			all = append(all, at)
		}
	}
	for k := range max(1, len(q.Items)) {
		var i driver.Item
		if len(q.Items) > 0 {
			i = q.Items[k]
		}
		switch {
		case len(i.Tags) > 0:
			for _, at := range n.tagged[i.Tags[0]] {
				take(&i, at)
			}
		case len(i.Streams) > 0:
			for _, s := range i.Streams {
				for _, at := range n.streamed[s] {
					take(&i, at)
				}
			}
		default:
			for at := range n.events {
				take(&i, int32(at+1))
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Package annalstest tests decisions: given these events, when this is decided,
// then these events are recorded, or this error is returned.
//
// Start with [New]:
//
//	annalstest.New(t, nil).
//		Given(annalstest.In("item-laptop", ItemCreated{"Laptop", 10})).
//		When(annalstest.Update(Items, "laptop", func(i *Item) error { return i.Decrease(3) })).
//		Then(annalstest.In("item-laptop", QuantityDecreased{3}))
//
// An event is given, and expected, either in a stream by [In] or, where it
// belongs to none and names its tags, as it is. [Stored] gives an event in the
// form that the log holds, such as one of an old type.
//
// When runs the decision on a log in memory and checks two things by itself:
//
//   - Everything given lies within what the decision read. Otherwise its
//     boundary is too narrow: in earnest, such an event could be appended
//     between deciding and committing, and nobody would notice. What is in
//     the log and need not be read is given by [Scenario.Beside].
//   - Noise changes nothing. The decision runs again on a log in which events
//     of other streams, tags and types are mixed in before and while it
//     decides. Otherwise its boundary is too wide. See [Noise].
//
// So the function given to When runs more than once.
package annalstest

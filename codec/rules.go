package codec

import "reflect"

// Rules say what a codec can carry, for a [Checker].
type Rules struct {
	// Tags are the keys of the struct tags that name fields; the first that a
	// field has counts.
	Tags []string
	// Own reports whether t, or a pointer to it, brings its own encoded form,
	// one method to write it and one to read it back.
	Own func(t reflect.Type) (writes, reads bool)
	// AnyFloat says that NaN and the infinities survive.
	AnyFloat bool
	// AnyKey says that a map's keys may be of any basic kind; else they are
	// strings, integers and types with their own text form.
	AnyKey bool
}

// Ruled is a [Codec] that says what it can carry. One that does not is
// checked by the rules of [JSON].
type Ruled interface {
	Codec
	Rules() Rules
}

func rulesOf(c Codec) Rules {
	if r, ok := c.(Ruled); ok {
		return r.Rules()
	}
	return jsonCodec{}.Rules()
}

package merkle

import (
	"crypto/sha256"

	"github.com/annals-db/annals/driver"
)

// Parts are what a leaf's bytes hold between the numbers that a log assigns,
// for a store that assigns them where the leaf is made:
//
//	0x00 0x01 ‖ position ‖ Stream ‖ version ‖ Name ‖ time ‖ occurred ‖ About ‖ batch ‖ Rest
type Parts struct{ Stream, Name, About, Rest []byte }

// PartsOf returns the parts of the leaf that e will have, with the conditions
// of its batch if it is the first of it.
func PartsOf(e *driver.Event, conditions []driver.Condition) Parts {
	b := make([]byte, 0, 256)
	cut := func(from int) []byte { return b[from:len(b):len(b)] }
	var p Parts
	b = appendText(b, e.Stream)
	p.Stream = cut(0)
	n := len(b)
	b = appendText(b, e.Type)
	b = appendText(b, e.Encoding)
	b = append(b, e.ID[:]...)
	p.Name = cut(n)
	n = len(b)
	b = appendTexts(b, e.Tags)
	b = appendLength(b, len(e.Metadata))
	for i := range e.Metadata {
		b = appendText(b, e.Metadata[i].Key)
		b = appendText(b, e.Metadata[i].Value)
	}
	p.About = cut(n)
	n = len(b)
	b = appendLength(b, len(conditions))
	for i := range conditions {
		b = appendCondition(b, &conditions[i])
	}
	payload := sha256.Sum256(e.Data)
	b = append(b, payload[:]...)
	p.Rest = cut(n)
	return p
}

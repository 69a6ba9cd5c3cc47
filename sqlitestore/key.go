package sqlitestore

import "github.com/annals-db/annals/driver"

// key is what the writer knows of a name. Its count and last may be ahead of
// the row until flush.
type key struct {
	postings
	dirty bool
}

// find returns what is known of a name, the transaction under way included.
func (w *writer) find(k kind, name string) (postings, bool, error) {
	if known := w.keys[keyName{k, name}]; known != nil {
		return known.postings, true, nil
	}
	p, ok, err := w.c.checked(k, name)
	if ok && err == nil {
		w.keys[keyName{k, name}] = &key{postings: p}
	}
	return p, ok, err
}

// intern returns the key of a name, and makes it if there is none.
func (w *writer) intern(k kind, name string) (*key, error) {
	n := keyName{k, name}
	if known := w.keys[n]; known != nil {
		return known, nil
	}
	_, ok, err := w.find(k, name)
	if err != nil || ok {
		return w.keys[n], err
	}
	if err := exec(w.newKey, k, name); err != nil {
		return nil, err
	}
	made := &key{postings: postings{kind: k, name: name, key: w.c.db.LastInsertRowID()}}
	w.keys[n] = made
	if w.undo != nil {
		w.undo.made = append(w.undo.made, n)
	}
	return made, nil
}

// postTo writes that the record at p has k.
func (w *writer) postTo(k *key, p driver.Position) error {
	if w.undo != nil {
		w.undo.changed = append(w.undo.changed, change{k, *k})
	}
	k.count, k.last = k.count+1, p
	if !k.dirty {
		k.dirty = true
		w.dirty = append(w.dirty, k)
	}
	if err := w.post.BindInt64(1, k.key); err != nil {
		return err
	}
	if err := w.post.BindInt64(2, int64(p)); err != nil {
		return err
	}
	if err := w.post.BindInt64(3, int64(k.count)); err != nil {
		return err
	}
	return w.post.Exec()
}

// flush writes the counts of the keys that the transaction has changed: once
// each, however many records have them.
func (w *writer) flush() error {
	for _, k := range w.dirty {
		if err := exec(w.setKey, k.count, k.last, k.key); err != nil {
			return err
		}
		k.dirty = false
	}
	w.dirty = w.dirty[:0]
	return nil
}

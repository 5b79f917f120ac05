package store

import (
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/counting"
)

// named makes a collision of contexts readable: it spells the context out in words.
func (t *Trainer) named(err error) error {
	collision, ok := errors.AsType[*counting.Collision](err)
	if !ok {
		return err
	}
	words := make(map[uint32]string, len(t.words.ids))
	for word, id := range t.words.ids {
		words[id] = word
	}
	spell := func(context []uint32) string {
		out := ""
		for _, id := range context {
			word, known := words[id]
			if !known && id < ngram.FirstWord {
				word = ngram.ControlToken(id)
			}
			out += " " + word
		}
		return out[min(1, len(out)):]
	}
	other := "another context that is stored"
	if collision.Other != nil {
		other = "“" + spell(collision.Other) + "”"
	}
	return errors.Wrap(err, errors.FailedPrecondition, reasonCollision,
		"two contexts of order %d have the same hash: “%s” and %s. Nothing of this text was counted; leave out the sentence, or train a model of another order",
		collision.N, spell(collision.Context), other)
}

package rehearsal

import "dbslm/services/ngram"

// Size is about what a store takes for a model and one build of it.
type Size struct {
	Rows          int64 // of n-grams and contexts, as counts and as probabilities
	SQLite, MySQL int64 // bytes in use, of the database file and of the tables
}

// rowBytes is what a row takes with its share of pages that are not full, without the packed followers, whose size counts once
// more. For MySQL from the pages of War and Peace at order 3 in 8 bits; for SQLite a guess from the size of its whole file.
type rowBytes struct{ count, probability, context, packed, word, blob, text float64 }

var (
	onMySQL  = rowBytes{count: 40.7, probability: 41.5, context: 48.2, packed: 42, word: 80, blob: 1.15, text: 0.4}
	onSQLite = rowBytes{count: 21.5, probability: 21.5, context: 29, packed: 22, word: 42, blob: 1.05, text: 0.4}
)

// Size estimates the store after Count; textBytes is the size of the text as UTF-8.
func (r *Rehearsal) Size(storage ngram.Storage, textBytes int64) Size {
	follower, exact := map[ngram.Storage]float64{ngram.Storage8: 3, ngram.Storage16: 4, ngram.StorageExact: 10}[storage], 0.0
	if storage == ngram.StorageExact {
		exact = 6
	}
	grams, contexts, segments := 0.0, 0.0, 0.0
	for n, o := range r.orders {
		grams, contexts = grams+float64(o.NGrams), contexts+float64(o.Contexts)
		if n > 0 {
			segments += float64(r.packed[n].size())
		}
	}
	on := func(b rowBytes) int64 {
		bytes := grams*(b.count+b.probability+exact) + contexts*(b.context+b.packed+exact)
		bytes += b.blob*(segments+grams*follower) + b.word*float64(len(r.ids)) + b.text*float64(textBytes)
		return int64(bytes)
	}
	return Size{Rows: 2 * int64(grams+contexts), SQLite: on(onSQLite), MySQL: on(onMySQL)}
}

package smoothing

import (
	"slices"

	"dbslm/pkg/exactmath"
	"dbslm/services/ngram/packed"
	"dbslm/services/ngram/quant"
	"dbslm/services/ngram/scoring"
)

// Probe tells a probe of the context of order n that the result is of. book is the codebook of the order, nil for exact storage.
func (r *Result) Probe(probe *scoring.Probe, n int, hash int64, book *quant.Book) {
	stored := func(i int) float64 {
		if book != nil {
			value := book.Log10[r.Codes[i]]
			if n == 1 {
				value += r.Backoff // the factor that makes the rounded unigrams sum to 1
			}
			return value
		}
		return packed.Float(r.Codes[i])
	}
	exact := func(i int) float64 { return min(0, exactmath.Log10(r.Exact[i])) }
	find := func(token uint32) (int, bool) { return slices.BinarySearch(r.Tokens, token) }
	probe.Context(hash, find, stored, exact, r.Backoff, r.ExactBackoff)
}

package predict

import (
	"cmp"
	"slices"
	"strings"
)

// Count is how often a feature occurs in the examples of a concept.
type Count struct {
	Feature string
	Concept string
	N       int64
}

// Counts counts the features of examples given as concept and utterance.
func Counts(examples [][2]string) []Count {
	type key struct{ feature, concept string }
	n := map[key]int64{}
	for _, e := range examples {
		for _, f := range Features(e[1]) {
			n[key{f, e[0]}]++
		}
	}
	counts := make([]Count, 0, len(n))
	for k, v := range n {
		counts = append(counts, Count{k.feature, k.concept, v})
	}
	slices.SortFunc(counts, func(a, b Count) int {
		return cmp.Or(strings.Compare(a.Feature, b.Feature), strings.Compare(a.Concept, b.Concept))
	})
	return counts
}

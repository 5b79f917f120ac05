// Package predict tells which concept an utterance means, by counts: a multinomial naive Bayes model (McCallum and
// Nigam 1998) over words and word pairs, with a background class for everything that is not a concept, so that it
// abstains instead of always naming a winner.
//
// For a concept c with n(f,c) occurrences of feature f in its examples, N_c in all, and a vocabulary of V features,
//
//	p(f|c) = (n(f,c) + α) / (N_c + α(V+1))            α = 0.1
//
// The background predicts a feature that no example holds with probability ½, because most words of most
// questions are such, and shares the rest in proportion to the counts of all examples together:
//
//	p(f|background) = ½ · n(f)/N     p(unknown|background) = ½
//
// Words count fully, pairs with weight ½ by a square root, because a pair repeats what its words said. Only
// multiplication, division and square root are used, which IEEE 754 defines to the last bit: a decision is the
// same on every processor.
package predict

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"dbslm/pkg/text"
)

const (
	alpha = 0.1
	// unknown is the background's probability of a feature that no example holds.
	unknown = 0.5
	// backgroundPrior is the prior probability that no concept is meant; the concepts share the rest evenly.
	backgroundPrior = 0.5
	// Threshold is the probability below which the model abstains.
	Threshold = 0.5
)

// Count is how often a feature occurs in the examples of a concept.
type Count struct {
	Feature string
	Concept string
	N       int64
}

// Model is a pure function of the set of examples. It is immutable.
type Model struct {
	concepts []string                    // sorted
	totals   map[string]int64            // N_c
	counts   map[string]map[string]int64 // feature → concept → n
	features map[string]int64            // n(f)
	all      int64                       // N
}

// New makes a model of counts. Order does not matter.
func New(counts []Count) *Model {
	m := &Model{totals: map[string]int64{}, counts: map[string]map[string]int64{}, features: map[string]int64{}}
	for _, c := range counts {
		if c.N <= 0 {
			continue
		}
		if m.counts[c.Feature] == nil {
			m.counts[c.Feature] = map[string]int64{}
		}
		m.counts[c.Feature][c.Concept] += c.N
		m.totals[c.Concept] += c.N
		m.features[c.Feature] += c.N
		m.all += c.N
	}
	for name := range m.totals {
		m.concepts = append(m.concepts, name)
	}
	slices.Sort(m.concepts)
	return m
}

// Learn counts examples given as concept and utterance.
func Learn(examples [][2]string) []Count {
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

// Candidate is one concept and how probable it is that the utterance means it.
type Candidate struct {
	Concept     string
	Probability float64
	Features    []string // that spoke for it, most telling first
	// Weak tells that nothing but single words without content ("you were") speaks for it. A short utterance of such
	// words looks like any example, so it should not be followed whatever its probability.
	Weak bool
}

// Predict judges an utterance: every concept that shares a feature with it, most probable first, ties by name.
// The probabilities and that of the background sum to 1.
func (m *Model) Predict(utterance string) []Candidate {
	candidates := m.judge(Features(utterance))
	for i, c := range candidates {
		candidates[i].Weak = !slices.ContainsFunc(c.Features, func(f string) bool {
			return strings.ContainsRune(f, ' ') || len(text.ContentWords(f, "")) > 0
		})
	}
	return candidates
}

// Single judges the context that consists of one feature; "" is the context without any, where priors decide.
func (m *Model) Single(feature string) []Candidate {
	if feature == "" {
		return m.judge(nil)
	}
	return m.judge([]string{feature})
}

func (m *Model) judge(features []string) []Candidate {
	if len(m.concepts) == 0 {
		return nil
	}
	prior := (1 - backgroundPrior) / float64(len(m.concepts))
	vocabulary := float64(len(m.features) + 1)
	background := newScaled(backgroundPrior)
	scores := make([]scaled, len(m.concepts))
	for i := range scores {
		scores[i] = newScaled(prior)
	}
	telling := make([][]tell, len(m.concepts))
	for _, f := range features {
		pair := strings.ContainsRune(f, ' ')
		under := unknown
		if n := m.features[f]; n > 0 {
			under = (1 - unknown) * float64(n) / float64(m.all)
		} else if pair {
			continue // an unknown pair says no more than its words
		}
		background.times(weighted(under, pair))
		for i, c := range m.concepts {
			n := m.counts[f][c]
			p := (float64(n) + alpha) / (float64(m.totals[c]) + float64(alpha*vocabulary))
			scores[i].times(weighted(p, pair))
			if n > 0 {
				telling[i] = append(telling[i], tell{f, p / under})
			}
		}
	}
	total := background
	for _, s := range scores {
		total = total.plus(s)
	}
	var out []Candidate
	for i, c := range m.concepts {
		if len(telling[i]) == 0 && len(features) > 0 {
			continue
		}
		out = append(out, Candidate{Concept: c, Probability: scores[i].over(total), Features: strongest(telling[i])})
	}
	slices.SortStableFunc(out, func(a, b Candidate) int { return cmp.Compare(b.Probability, a.Probability) })
	return out
}

func weighted(p float64, pair bool) float64 {
	if pair {
		return math.Sqrt(p)
	}
	return p
}

type tell struct {
	feature string
	ratio   float64
}

// maxTelling is how many features an explanation names.
const maxTelling = 8

func strongest(tells []tell) []string {
	slices.SortStableFunc(tells, func(a, b tell) int {
		return cmp.Or(cmp.Compare(b.ratio, a.ratio), strings.Compare(a.feature, b.feature))
	})
	var out []string
	for _, t := range tells {
		if !slices.Contains(out, t.feature) && len(out) < maxTelling {
			out = append(out, t.feature)
		}
	}
	return out
}

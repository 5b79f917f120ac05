package predict

import (
	"math"
	"slices"

	"dbslm/pkg/exactmath"
)

const (
	alpha  = 0.08 // added to every count
	passes = 4    // of discriminative estimation
	// unseen is the number of examples that a feature is taken to be in that none holds. Below 1, so that in a small
	// bot too a word that nobody said weighs more than one that somebody did.
	unseen = 0.2
)

// posting is a concept that a feature was seen with, and the weight derived from its count in 1/unit. Counts stand apart, because
// scores are made of weights alone.
type posting struct {
	concept int32
	weight  int32
}

// feature is a row of the model.
type feature struct {
	name      string
	documents int64     // examples that hold it
	idf       float64   // inverse document frequency
	postings  []posting // by concept
	counts    []int64   // of the postings, in 1/one
}

// Model is a pure function of the set of examples. It is immutable.
type Model struct {
	examples int
	scale    float64  // scores are multiplied by it before they become probabilities
	concepts []string // sorted
	features map[string]*feature
	totals   []int64 // of the counts of each concept
	bias     []int64 // for each concept, and last for the background; a score's part per one of x, in 1/unit
	prior    int64   // of the background, in 1/(one·unit)
	unknown  float64 // inverse document frequency of a feature that no example holds
}

// example is a vector whose entries know their postings.
type example struct {
	concept int
	x       []entry
	own     []*int64 // in the row of each entry, the count of the example's concept
	rows    []*feature
	added   []int64 // what the example added to each of own
}

// occurrence is a feature of an example: its row, the place of the example's concept in it, and how often it occurs.
type occurrence struct {
	row       *feature
	place, tf int32
}

// Train makes the model of a set of examples, given as concept and utterance. Order and repetition do not matter.
//
// A first pass counts the weighted features of every concept's examples. Then discriminative frequency estimation
// (Su, Zhang, Ling and Matwin, ICML 2008) goes over them a few times and adds to the counts of each example's concept
// how wrong the model was, 1−P(concept|example), all examples of a pass against the model of the pass before. Counts are
// integers, so that no order of examples can change a bit. Last, probabilities are calibrated; see calibrate.
func Train(examples [][2]string) *Model {
	examples = sortedExamples(examples)
	m := &Model{examples: len(examples), scale: 1, features: map[string]*feature{}, unknown: unknownOf(len(examples))}
	occurrences := make([][]occurrence, len(examples))
	for i, e := range examples {
		if n := len(m.concepts); n == 0 || m.concepts[n-1] != e[0] {
			m.concepts = append(m.concepts, e[0])
		}
		occurrences[i] = m.occur(Features(e[1]), int32(len(m.concepts)-1))
	}
	for _, f := range m.features {
		f.idf = idfOf(m.examples, f.documents)
		f.counts = make([]int64, len(f.postings))
	}
	all := m.link(examples, occurrences)
	for _, e := range all {
		for i, count := range e.own {
			*count += e.x[i].x
			e.added[i] = e.x[i].x
		}
	}
	m.derive()
	scores, probabilities := make([]int64, len(m.concepts)+1), make([]float64, len(m.concepts))
	for range passes {
		for _, e := range all {
			m.score(e.x, e.rows, scores)
			softmax(scores[:len(m.concepts)], 1, probabilities)
			wrong := int64(math.Round((1 - probabilities[e.concept]) * one))
			for i, count := range e.own {
				*count += e.x[i].x * wrong / one
				e.added[i] += e.x[i].x * wrong / one
			}
		}
		m.derive()
	}
	m.calibrate(all)
	return m
}

func idfOf(examples int, documents int64) float64 {
	return exactmath.Log(float64(examples+1) / float64(documents))
}

func unknownOf(examples int) float64 { return exactmath.Log(float64(examples+1) / unseen) }

// occur notes the features of the next example of a concept; those of concepts before it were noted before.
func (m *Model) occur(features []string, concept int32) []occurrence {
	slices.Sort(features)
	found := make([]occurrence, 0, len(features))
	for i, f := range features {
		if i > 0 && f == features[i-1] {
			found[len(found)-1].tf++
			continue
		}
		row := m.features[f]
		if row == nil {
			row = &feature{name: f}
			m.features[f] = row
		}
		row.documents++
		if n := len(row.postings); n == 0 || row.postings[n-1].concept != concept {
			row.postings = append(row.postings, posting{concept: concept})
		}
		found = append(found, occurrence{row, int32(len(row.postings) - 1), 1})
	}
	return found
}

// link weighs the examples and finds the counts of their features.
func (m *Model) link(examples [][2]string, occurrences [][]occurrence) []example {
	out := make([]example, len(examples))
	for i, e := range examples {
		c, _ := slices.BinarySearch(m.concepts, e[0])
		found := occurrences[i]
		x := weigh(len(found), func(at int) (string, int32, float64) { return found[at].row.name, found[at].tf, found[at].row.idf })
		l := example{concept: c, x: x, own: make([]*int64, len(x)), rows: make([]*feature, len(x)), added: make([]int64, len(x))}
		at := 0
		for j, v := range x {
			for found[at].row.name != v.feature { // what weighs nothing was left out
				at++
			}
			l.rows[j], l.own[j] = found[at].row, &found[at].row.counts[found[at].place]
		}
		out[i] = l
	}
	return out
}

// derive computes weights and biases of the counts.
func (m *Model) derive() {
	totals := make([]int64, len(m.concepts))
	for _, f := range m.features {
		for i := range f.postings {
			p := &f.postings[i]
			totals[p.concept] += f.counts[i]
			p.weight = weightOf(f.counts[i])
		}
	}
	m.totals, m.bias = totals, m.bias[:0]
	var all int64
	for _, t := range totals {
		m.bias = append(m.bias, m.biasOf(float64(t)))
		all += t
	}
	if n := len(totals); n > 0 {
		m.bias = append(m.bias, m.biasOf(float64(all)/float64(n)))
		m.prior = int64(math.Round(exactmath.Log(float64(n)) * backgroundShare * one * unit))
	}
}

func weightOf(count int64) int32 {
	return int32(math.Round(exactmath.Log((float64(count)/one+alpha)/alpha) * unit))
}

// biasOf is the part of a score per one of x for a concept whose counts sum to total, in 1/one.
func (m *Model) biasOf(total float64) int64 {
	return int64(math.Round(exactmath.Log(alpha/(float64(total/one)+float64(alpha*float64(len(m.features))))) * unit))
}

func (m *Model) idf(name string) float64 {
	if f := m.features[name]; f != nil {
		return f.idf
	}
	return m.unknown
}

// score fills the scores of all concepts, and last that of the background without its prior, in 1/(one·unit), and returns
// the sum of what is known of x.
func (m *Model) score(x []entry, rows []*feature, scores []int64) (known int64) {
	clear(scores)
	for i, v := range x {
		if rows[i] == nil {
			continue
		}
		known += v.x
		for _, p := range rows[i].postings {
			scores[p.concept] += v.x * int64(p.weight)
		}
	}
	for c := range scores {
		scores[c] += known * m.bias[c]
	}
	return known
}

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

// posting is a concept that a feature was seen with: its count in 1/one, and the weight derived from it in 1/unit.
type posting struct {
	concept int32
	weight  int32
	count   int64
}

// feature is a row of the model.
type feature struct {
	documents int64   // examples that hold it
	idf       float64 // inverse document frequency
	postings  []posting
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
	own     []*posting // in the row of each entry, that of the example's concept
	rows    []*feature
	added   []int64 // what the example added to the count of each of own
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
	features := make([][]string, len(examples))
	for i, e := range examples {
		if n := len(m.concepts); n == 0 || m.concepts[n-1] != e[0] {
			m.concepts = append(m.concepts, e[0])
		}
		features[i] = Features(e[1])
		slices.Sort(features[i])
		last := ""
		for _, f := range features[i] {
			if f == last {
				continue
			}
			last = f
			row := m.features[f]
			if row == nil {
				row = &feature{}
				m.features[f] = row
			}
			row.documents++
			c := int32(len(m.concepts) - 1)
			if n := len(row.postings); n == 0 || row.postings[n-1].concept != c {
				row.postings = append(row.postings, posting{concept: c})
			}
		}
	}
	for _, f := range m.features {
		f.idf = idfOf(m.examples, f.documents)
	}
	all := m.link(examples, features)
	for _, e := range all {
		for i, p := range e.own {
			p.count += e.x[i].x
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
			for i, p := range e.own {
				p.count += e.x[i].x * wrong / one
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

// link weighs the examples and finds the rows and postings of their features.
func (m *Model) link(examples [][2]string, features [][]string) []example {
	out := make([]example, len(examples))
	for i, e := range examples {
		c, _ := slices.BinarySearch(m.concepts, e[0])
		x := vectorOf(features[i], m.idf)
		l := example{concept: c, x: x, own: make([]*posting, len(x)), rows: make([]*feature, len(x)), added: make([]int64, len(x))}
		for j, v := range x {
			row := m.features[v.feature]
			at, _ := slices.BinarySearchFunc(row.postings, int32(c), func(p posting, c int32) int { return int(p.concept - c) })
			l.rows[j], l.own[j] = row, &row.postings[at]
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
			totals[p.concept] += p.count
			p.weight = weightOf(p.count)
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

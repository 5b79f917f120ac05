package predict

import (
	"maps"
	"slices"
)

// Formula is the version of the arithmetic: a build of another version does not mean the same.
const Formula = 1

// Row is what a model knows of a feature. A model is its rows, the number of its examples and its scale.
type Row struct {
	Feature   string
	Documents int64          // examples that hold it
	Counts    []ConceptCount // by concept
}

// ConceptCount is how often a feature was seen with a concept, in 1/2^20: weighted and discriminatively estimated.
type ConceptCount struct {
	Concept string
	N       int64
}

// Rows lists what the model knows, by feature.
func (m *Model) Rows() []Row {
	out := make([]Row, 0, len(m.features))
	for _, name := range slices.Sorted(maps.Keys(m.features)) {
		f := m.features[name]
		r := Row{name, f.documents, make([]ConceptCount, len(f.postings))}
		for i, p := range f.postings {
			r.Counts[i] = ConceptCount{m.concepts[p.concept], f.counts[i]}
		}
		out = append(out, r)
	}
	return out
}

// FromRows makes the model that had these rows, in any order; the counts of a row come by concept.
func FromRows(examples int, scale float64, rows []Row) *Model {
	m := &Model{examples: examples, scale: scale, features: make(map[string]*feature, len(rows)), unknown: unknownOf(examples)}
	number := map[string]int32{}
	for _, r := range rows {
		for _, c := range r.Counts {
			number[c.Concept] = 0
		}
	}
	m.concepts = slices.Sorted(maps.Keys(number))
	for i, name := range m.concepts {
		number[name] = int32(i)
	}
	for _, r := range rows {
		f := &feature{
			name: r.Feature, documents: r.Documents, idf: idfOf(examples, r.Documents), postings: make([]posting, len(r.Counts)), counts: make([]int64, len(r.Counts)),
		}
		for i, c := range r.Counts {
			f.postings[i], f.counts[i] = posting{concept: number[c.Concept]}, c.N
		}
		m.features[r.Feature] = f
	}
	m.derive()
	return m
}

// Examples is the number of different examples that the model was made of.
func (m *Model) Examples() int { return m.examples }

// Concepts lists the concepts that it knows, sorted.
func (m *Model) Concepts() []string { return slices.Clone(m.concepts) }

// Scale is what scores are multiplied by before they become probabilities.
func (m *Model) Scale() float64 { return m.scale }

// Readable reports whether a feature is a word or pair of words, not a piece of one.
func Readable(feature string) bool { return !isPiece(feature) }

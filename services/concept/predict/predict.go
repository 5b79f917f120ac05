// Package predict tells which concept an utterance means, by counts: a multinomial model over weighted words, pairs and
// pieces of words (tf·idf with length normalisation: Rennie et al., ICML 2003), whose counts are estimated
// discriminatively, with a background class for everything that is not a concept, so that it abstains instead of always
// naming a winner.
//
// For a concept c with n(f,c) weighted occurrences of feature f in its examples, N_c in all, V features, and an
// utterance with weights x(f):
//
//	score(c) = Σ x(f)·log((n(f,c)+α) / (N_c+αV))        P(c) ∝ exp score(c)        α = 0.08
//
// The background is a concept of average size that never saw any feature. Everything that is added up is an integer,
// and exp and log are exactmath's: a decision has the same bits on every processor, and in any order of the examples.
package predict

import (
	"cmp"
	"maps"
	"slices"
)

const (
	// Threshold is the probability below which a model abstains; chosen on the validation part of CLINC150.
	Threshold = 0.36
	// backgroundShare is the power of the number of concepts that the background is as probable as, where nothing speaks.
	backgroundShare = 1.0
)

// Evidence is a feature that spoke for a concept.
type Evidence struct {
	Feature string
	Count   float64 // weighted occurrences in the concept's examples
	Weight  float64 // its part of the concept's score, as a natural logarithm
}

// Candidate is one concept and how probable it is that the utterance means it.
type Candidate struct {
	Concept     string
	Probability float64
	Score       float64    // natural logarithm; Base and the weights of all evidence
	Base        float64    // part of the score that no evidence brings
	Evidence    []Evidence // most telling first, as many as asked for; only of the five most probable
	Found       int        // pieces of evidence, listed or not; only of the five most probable
	// Weak tells, of the five most probable, that nothing but single words without content ("you were") speaks for it, or that it explains too little
	// of the utterance, as of a long one in which a common word occurs, or one that shares only "what did" with it. Probabilities compare concepts with each other; a weak one should not be
	// followed whatever its probability.
	Weak bool
}

// Features names the evidence.
func (c Candidate) Features() []string {
	out := make([]string, len(c.Evidence))
	for i, e := range c.Evidence {
		out[i] = e.Feature
	}
	return out
}

const (
	maxCandidates = 16
	explained     = 5
	maxEvidence   = 8
	// minExplained is the part of an utterance's squared length, in words and pairs, that examples of a concept must hold.
	minExplained = 0.10
	// minExplainedEmpty is that part when only words without content speak for a concept, as in "who are you".
	minExplainedEmpty = 0.20
)

// Judgement is what a model makes of an utterance, and of what.
type Judgement struct {
	Candidates      []Candidate
	Background      float64 // probability that no concept is meant
	BackgroundScore float64 // natural logarithm
	Occurrences     []Occurrence
}

// Occurrence is a feature of an utterance.
type Occurrence struct {
	Feature   string
	Weight    float64 // in the utterance
	Documents int64   // examples that hold it; 0 when it is unknown
}

// Predict judges an utterance: the concepts that share a feature with it, most probable first, ties by name, at most
// 16. The probabilities of all concepts and that of the background sum to 1.
func (m *Model) Predict(utterance string) []Candidate {
	return m.Explain(utterance, maxEvidence).Candidates
}

// Explain judges an utterance as Predict does and tells what it judged by, with at most so many pieces of evidence of
// a concept.
func (m *Model) Explain(utterance string, evidence int) Judgement {
	features := Features(utterance)
	slices.Sort(features)
	return m.judge(features, evidence)
}

// Single judges the context that consists of one feature; "" is the context without any, where priors decide.
func (m *Model) Single(feature string) []Candidate {
	if feature == "" {
		return m.judge(nil, maxEvidence).Candidates
	}
	return m.judge([]string{feature}, maxEvidence).Candidates
}

// Names lists the features that examples hold, sorted.
func (m *Model) Names() []string { return slices.Sorted(maps.Keys(m.features)) }

func (m *Model) judge(features []string, most int) Judgement {
	x := vectorOf(features, m.idf)
	rows := make([]*feature, len(x))
	occurrences := make([]Occurrence, len(x))
	seen := make([]bool, len(m.concepts))
	for i, v := range x {
		rows[i] = m.features[v.feature]
		occurrences[i] = Occurrence{Feature: v.feature, Weight: float64(v.x) / one}
		if rows[i] != nil {
			occurrences[i].Documents = rows[i].documents
			for _, p := range rows[i].postings {
				seen[p.concept] = true
			}
		}
	}
	if len(m.concepts) == 0 {
		return Judgement{Background: 1, Occurrences: occurrences}
	}
	scores, probabilities := make([]int64, len(m.concepts)+1), make([]float64, len(m.concepts)+1)
	known := m.score(x, rows, scores)
	m.probabilities(scores, probabilities)
	order := make([]int, 0, len(m.concepts))
	for c := range m.concepts {
		if seen[c] || len(features) == 0 {
			order = append(order, c)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(scores[b], scores[a]), cmp.Compare(a, b)) })
	out := make([]Candidate, min(len(order), maxCandidates))
	for i := range out {
		c := order[i]
		out[i] = Candidate{Concept: m.concepts[c], Probability: probabilities[c], Score: natural(scores[c]), Base: natural(known * m.bias[c])}
		if i < explained {
			out[i].Evidence, out[i].Found, out[i].Weak = evidence(x, rows, int32(c), most)
		}
	}
	last := len(m.concepts)
	return Judgement{out, probabilities[last], natural(scores[last]), occurrences}
}

// natural is a score as a natural logarithm.
func natural(score int64) float64 { return float64(score) / (one * unit) }

// evidence lists the most of what speaks for a concept, how much does, and whether that is weak.
func evidence(x []entry, rows []*feature, concept int32, most int) (out []Evidence, found int, weak bool) {
	telling, content := false, false
	var explained, all float64
	for i, row := range rows {
		square := 0.0
		if group(x[i].feature) == 0 {
			square = float64(x[i].x * x[i].x)
		}
		all += square
		if row == nil {
			continue
		}
		at, ok := slices.BinarySearchFunc(row.postings, concept, func(p posting, c int32) int { return int(p.concept - c) })
		if !ok {
			continue
		}
		p := row.postings[at]
		says, holds := speaks(x[i].feature)
		telling, content = telling || says, content || holds
		explained += square
		found++
		out = keepBest(out, Evidence{x[i].feature, float64(row.counts[at]) / one, natural(x[i].x * int64(p.weight))}, most)
	}
	least := minExplained
	if !content {
		least = minExplainedEmpty
	}
	if all > 0 && explained == all { // word for word from beginning to end, as "hello" where that is an example
		return out, found, false
	}
	return out, found, !telling || explained < float64(least*all)
}

// keepBest inserts a piece of evidence into at most so many, the most telling first, the earlier first among equals.
func keepBest(best []Evidence, e Evidence, most int) []Evidence {
	at := len(best)
	for at > 0 && best[at-1].Weight < e.Weight {
		at--
	}
	if at == most {
		return best
	}
	if len(best) == most {
		best = best[:most-1]
	}
	return slices.Insert(best, at, e)
}

package predict

import (
	"math"

	"dbslm/pkg/exactmath"
)

// calibrationSample bounds the examples that the scale is fitted on.
const calibrationSample = 2000

// The scales tried are 2^(k/8) for k from minScale to maxScale.
const minScale, maxScale = -8, 24

// caution is how much log-likelihood a doubling of the scale must gain, so that a handful of examples decides nothing.
const caution = 10.0

// calibrate chooses the scale of scores under which examples that the model did not see are most probable: temperature
// scaling (Guo et al., ICML 2017) on examples held out one by one. What an example added is taken out of counts,
// totals and document frequencies for the time of its own judgement, so that nothing is trained again. With few
// examples a concept, scores of what was not seen lie close together, and scale is well above 1.
//
// An example that shares no feature with the others of its concept says nothing about the scale and is left out.
func (m *Model) calibrate(all []example) {
	var held []heldOut
	step := max((len(all)+calibrationSample-1)/calibrationSample, 1)
	for i := 0; i < len(all); i += step {
		if h, ok := m.holdOut(all[i]); ok {
			held = append(held, h)
		}
	}
	if len(held) == 0 {
		return
	}
	best := math.Inf(-1)
	p := make([]float64, len(m.concepts))
	for k := minScale; k <= maxScale; k++ {
		scale := exactmath.Exp(float64(float64(k) / 8 * ln2))
		octaves := float64(k) / 8
		sum := -float64(caution * float64(octaves*octaves))
		for _, h := range held {
			softmax(h.scores, scale, p)
			sum += exactmath.Log(max(p[h.concept], 1e-12))
		}
		if sum > best {
			best, m.scale = sum, scale
		}
	}
}

// heldOut is an example's scores for all concepts in a model without it.
type heldOut struct {
	concept int
	scores  []int64
}

func (m *Model) holdOut(e example) (h heldOut, ok bool) {
	features := make([]string, 0, len(e.x))
	for _, v := range e.x {
		features = append(features, v.feature)
	}
	at := 0
	x := vectorOf(features, func(string) float64 {
		d := e.rows[at].documents - 1
		at++
		if d == 0 {
			return unknownOf(m.examples - 1)
		}
		return idfOf(m.examples-1, d)
	})
	h = heldOut{e.concept, make([]int64, len(m.concepts))}
	known, total, i := int64(0), m.totals[e.concept], 0
	for j, v := range e.x {
		total -= e.added[j]
		if i == len(x) || x[i].feature != v.feature {
			continue // it weighs nothing without the example
		}
		w := x[i].x
		i++
		if e.rows[j].documents == 1 {
			continue
		}
		known += w
		for k, p := range e.rows[j].postings {
			weight := p.weight
			if int(p.concept) == e.concept {
				without := e.rows[j].counts[k] - e.added[j]
				weight = weightOf(without)
				ok = ok || without > 0
			}
			h.scores[p.concept] += w * int64(weight)
		}
	}
	for c := range h.scores {
		bias := m.bias[c]
		if c == e.concept {
			bias = m.biasOf(float64(total))
		}
		h.scores[c] += known * bias
	}
	return h, ok
}

// probabilities turns the scores of all concepts and the background into probabilities; the prior of the background is
// not scaled.
func (m *Model) probabilities(scores []int64, out []float64) {
	scores[len(scores)-1] += int64(float64(m.prior) / m.scale)
	softmax(scores, m.scale, out)
}

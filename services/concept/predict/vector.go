package predict

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"dbslm/pkg/exactmath"
)

const (
	one       = 1 << 20            // fixed-point unit of features' weights in an utterance, and of counts
	unit      = 1 << 16            // fixed-point unit of weights of features for concepts
	ln2       = 0.6931471805599453 // exactmath.Log(2)
	skipShare = 0.5                // a pair with a gap counts half
	// pieceShare is the length of the vector of pieces where that of words and pairs is 1.
	pieceShare = 0.45
)

// entry is a feature of an utterance with its weight.
type entry struct {
	feature string
	x       int64 // in 1/one
}

// vectorOf weighs the sorted features of an utterance: log(1+tf)·idf, words and pieces scaled to length 1 and
// pieceShare. Idf gives the inverse document frequency of a feature. Unknown features shorten the others.
func vectorOf(features []string, idf func(string) float64) []entry {
	var distinct []string
	var times []int32
	for i, f := range features {
		if i > 0 && f == features[i-1] {
			times[len(times)-1]++
			continue
		}
		distinct, times = append(distinct, f), append(times, 1)
	}
	return weigh(len(distinct), func(i int) (string, int32, float64) { return distinct[i], times[i], idf(distinct[i]) })
}

// weigh is vectorOf for n different features; at gives each with how often it occurs and its inverse document frequency.
func weigh(n int, at func(int) (feature string, tf int32, idf float64)) []entry {
	type weighed struct {
		feature string
		x       float64
	}
	all := make([]weighed, 0, n)
	var squares [2]float64
	for i := range n {
		f, tf, idf := at(i)
		x := ln2 * idf
		if tf > 1 {
			x = exactmath.Log(float64(1+tf)) * idf
		}
		if strings.Contains(f, gap) {
			x *= skipShare
		}
		squares[group(f)] += float64(x * x)
		all = append(all, weighed{f, x})
	}
	scale := [2]float64{1, pieceShare}
	out := make([]entry, 0, len(all))
	for _, w := range all {
		g := group(w.feature)
		if x := int64(math.Round(w.x / math.Sqrt(squares[g]) * scale[g] * one)); x > 0 {
			out = append(out, entry{w.feature, x})
		}
	}
	return out
}

func group(feature string) int {
	if isPiece(feature) {
		return 1
	}
	return 0
}

// softmax turns scores in 1/(one·unit), multiplied by scale, into probabilities, summing in the order given.
func softmax(scores []int64, scale float64, out []float64) {
	top := slices.Max(scores)
	sum := 0.0
	for i, s := range scores {
		out[i] = exactmath.Exp(float64(float64(s-top)/(one*unit)) * scale)
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
}

func sortedExamples(examples [][2]string) [][2]string {
	out := slices.Clone(examples)
	slices.SortFunc(out, func(a, b [2]string) int { return cmp.Or(strings.Compare(a[0], b[0]), strings.Compare(a[1], b[1])) })
	return slices.Compact(out)
}

// Package measures sums up decisions about labelled utterances: accuracy with and without abstention, precision and
// recall of each concept, confusions, calibration, and what other thresholds would do.
package measures

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// Judged is one utterance with what was decided about it.
type Judged struct {
	Wanted      string  // concept that it means; "" when it is out of scope
	Top         string  // the most probable concept; "" for none
	Probability float64 // of Top
	Weak        bool    // Top is not followed whatever its probability
	Said        string  // the concept that is followed; "" for an abstention
}

// Bins is the number of bins of equal width in which calibration is measured.
const Bins = 15

// Report is what all decisions come to. Shares are in [0, 1]; one of nothing is 0.
type Report struct {
	InScope, OutOfScope int
	Accuracy            float64    // of the most probable concept, in scope
	Followed            float64    // in scope: share that the right concept answers, with abstention
	Abstained           float64    // in scope: share that nothing answers
	Refused             float64    // out of scope: share that nothing answers
	CalibrationError    float64    // expected calibration error of the most probable concept, in scope (Naeini et al., AAAI 2015)
	Calibration         []Bin      // by probability, lowest first
	Concepts            []Concept  // by name
	Confusions          []Confused // most frequent first, ties by name
	Thresholds          []Point    // what others would do, lowest first
}

// Bin is what was as probable as this, in scope.
type Bin struct {
	Count       int
	Probability float64 // mean
	Right       float64 // share
}

// Concept is how one concept fared, with abstention; what is out of scope and answered by it counts against its precision.
type Concept struct {
	Name              string
	Wanted, Said      int
	Precision, Recall float64
}

// Confused counts utterances that meant one concept while another was said; Wanted is "" for what is out of scope.
type Confused struct {
	Wanted, Said string
	Count        int
}

// Point is what a threshold would do.
type Point struct{ Threshold, Followed, Refused float64 }

// Of sums up decisions.
func Of(all []Judged) Report {
	var r Report
	var bins [Bins]struct {
		count, right int
		sum          float64
	}
	concepts := map[string]*Concept{}
	of := func(name string) *Concept {
		if concepts[name] == nil {
			concepts[name] = &Concept{Name: name}
		}
		return concepts[name]
	}
	right := map[string]int{}
	confused := map[[2]string]int{}
	var top, followed, abstained, refused int
	for _, j := range all {
		if j.Said != "" {
			of(j.Said).Said++
			if j.Said != j.Wanted {
				confused[[2]string{j.Wanted, j.Said}]++
			}
		}
		if j.Wanted == "" {
			r.OutOfScope++
			refused += one(j.Said == "")
			continue
		}
		r.InScope++
		of(j.Wanted).Wanted++
		top += one(j.Top == j.Wanted)
		abstained += one(j.Said == "")
		if j.Said == j.Wanted {
			followed++
			right[j.Wanted]++
		}
		b := &bins[min(max(int(j.Probability*Bins), 0), Bins-1)]
		b.count++
		b.right += one(j.Top == j.Wanted)
		b.sum += j.Probability
	}
	r.Accuracy, r.Followed, r.Abstained = share(top, r.InScope), share(followed, r.InScope), share(abstained, r.InScope)
	r.Refused = share(refused, r.OutOfScope)
	for _, b := range bins {
		r.Calibration = append(r.Calibration, Bin{b.count, b.sum / float64(max(b.count, 1)), share(b.right, b.count)})
		r.CalibrationError += math.Abs(b.sum-float64(b.right)) / float64(max(r.InScope, 1))
	}
	for name, c := range concepts {
		c.Precision, c.Recall = share(right[name], c.Said), share(right[name], c.Wanted)
		r.Concepts = append(r.Concepts, *c)
	}
	slices.SortFunc(r.Concepts, func(a, b Concept) int { return strings.Compare(a.Name, b.Name) })
	for pair, n := range confused {
		r.Confusions = append(r.Confusions, Confused{pair[0], pair[1], n})
	}
	slices.SortFunc(r.Confusions, func(a, b Confused) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Wanted, b.Wanted), strings.Compare(a.Said, b.Said))
	})
	r.Thresholds = thresholds(all, r)
	return r
}

// thresholds tries every fiftieth.
func thresholds(all []Judged, r Report) (out []Point) {
	for t := range 51 {
		threshold := float64(t) / 50
		followed, refused := 0, 0
		for _, j := range all {
			said := j.Top != "" && j.Probability >= threshold && !j.Weak
			switch {
			case j.Wanted == "":
				refused += one(!said)
			case said:
				followed += one(j.Top == j.Wanted)
			}
		}
		out = append(out, Point{threshold, share(followed, r.InScope), share(refused, r.OutOfScope)})
	}
	return out
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

func share(n, of int) float64 { return float64(n) / float64(max(of, 1)) }

package predict_test

import (
	"bufio"
	"cmp"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dbslm/services/concept/predict"
)

// labelled reads a file of DBSLM_DATA_DIR/clinc150 as concept and utterance.
func labelled(t testing.TB, name string) (out [][2]string) {
	dir := os.Getenv("DBSLM_DATA_DIR")
	if dir == "" {
		t.Skip("DBSLM_DATA_DIR names no corpora")
	}
	f, err := os.Open(filepath.Join(dir, "clinc150", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		utterance, concept, _ := strings.Cut(s.Text(), "\t")
		out = append(out, [2]string{concept, utterance})
	}
	return out
}

type figures struct{ accuracy, kept, outOfScope, ece float64 }

// measure gives accuracy, accuracy with abstention, recall of out-of-scope, and expected calibration error in 15 bins.
func measure(m *predict.Model, in, out [][2]string, threshold float64) (f figures) {
	var bins [15][3]float64
	for _, e := range in {
		c := m.Predict(e[1])
		if len(c) == 0 {
			continue
		}
		bin := &bins[min(int(c[0].Probability*15), 14)]
		bin[0]++
		bin[1] += c[0].Probability
		if c[0].Concept == e[0] {
			bin[2]++
			f.accuracy++
			if c[0].Probability >= threshold && !c[0].Weak {
				f.kept++
			}
		}
	}
	for _, e := range out {
		if c := m.Predict(e[1]); len(c) == 0 || c[0].Probability < threshold || c[0].Weak {
			f.outOfScope++
		}
	}
	for _, b := range bins {
		f.ece += math.Abs(b[1]-b[2]) / float64(len(in))
	}
	f.accuracy /= float64(len(in))
	f.kept /= float64(len(in))
	f.outOfScope /= float64(len(out))
	return f
}

// TestClinc150 measures intent classification on CLINC150 (Larson et al. 2019), with all examples and with every
// tenth of each concept's. The settings and the threshold were chosen on val; DBSLM_CLINC_SPLIT=val measures there.
func TestClinc150(t *testing.T) {
	split := cmp.Or(os.Getenv("DBSLM_CLINC_SPLIT"), "test")
	train := labelled(t, "train.tsv")
	in, out := labelled(t, split+".tsv"), labelled(t, "oos_"+split+".tsv")
	all := measure(predict.Train(train), in, out, predict.Threshold)
	t.Logf("%s, %d examples: %+v", split, len(train), all)
	if all.accuracy < 0.905 || all.kept < 0.88 || all.outOfScope < 0.45 || all.ece > 0.05 {
		t.Error("want accuracy at least 0.905; with abstention 0.88 and 0.45 of what is out of scope; calibration error at most 0.05")
	}
	perConcept := map[string]int{}
	var tenth [][2]string
	for _, e := range train {
		if perConcept[e[0]]++; perConcept[e[0]]%10 == 1 {
			tenth = append(tenth, e)
		}
	}
	few := measure(predict.Train(tenth), in, out, predict.Threshold)
	t.Logf("%s, %d examples: %+v", split, len(tenth), few)
	if few.accuracy < 0.80 {
		t.Error("want accuracy at least 0.80 of a tenth of the examples")
	}
}

func BenchmarkTrainClinc150(b *testing.B) {
	train := labelled(b, "train.tsv")
	for b.Loop() {
		predict.Train(train)
	}
}

func BenchmarkPredictClinc150(b *testing.B) {
	m, val := predict.Train(labelled(b, "train.tsv")), labelled(b, "val.tsv")
	i := 0
	for b.Loop() {
		m.Predict(val[i%len(val)][1])
		i++
	}
}

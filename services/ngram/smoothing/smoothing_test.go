package smoothing_test

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"dbslm/pkg/exactmath"
	"dbslm/services/ngram"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/goldentest"
	"dbslm/services/ngram/packed"
	"dbslm/services/ngram/smoothing"
)

func TestGolden(t *testing.T) {
	for _, c := range goldentest.Cases(t) {
		t.Run(c.Name, func(t *testing.T) {
			m := train(t, c.Order, c.Train, choice{quirk: c.Quirk})
			for i, want := range c.Golden.Discounts {
				d := m.discounts[i]
				for j, got := range []float64{d.D1, d.D2, d.D3} {
					if name := []string{"D1", "D2", "D3+"}[j]; math.Abs(got-want[name]) > 1e-5 {
						t.Errorf("order %d: %s is %.6f, KenLM says %.6f", i+1, name, got, want[name])
					}
				}
				grams := m.counts[i].NGrams
				if i == 0 {
					grams += 2 // <unk> and <s>
				}
				if grams != c.Golden.NGramCounts[i] {
					t.Errorf("order %d: %d n-grams, KenLM says %d", i+1, grams, c.Golden.NGramCounts[i])
				}
			}
			c.Check(t, m.scoreSentence)
			if c.ARPA != "" {
				checkARPA(t, m, goldentest.ReadARPA(t, c.ARPA))
			}
		})
	}
}

func checkARPA(t *testing.T, m *model, entries map[string]goldentest.Entry) {
	for words, entry := range entries {
		ids := m.sentence(strings.Fields(words), false)
		n := len(ids)
		switch words {
		case "<s>":
			ids = []uint32{ngram.SentenceStart}
		default:
			for i, w := range strings.Fields(words) {
				ids[i] = map[string]uint32{"<s>": 1, "</s>": 2}[w] + ids[i]
			}
			got, found := m.probs[n][contexthash.Sum(ids[:n-1])][ids[n-1]]
			if !found || math.Abs(got-entry.Log10) > 2e-6 {
				t.Errorf("%q: log10 p %.7f (found: %t), KenLM says %.7f", words, got, found, entry.Log10)
			}
		}
		if got := m.backoffs[n+1][contexthash.Sum(ids)]; n < m.order && math.Abs(got-entry.Backoff) > 2e-6 {
			t.Errorf("%q: backoff %.7f, KenLM says %.7f", words, got, entry.Backoff)
		}
	}
}

func drawCorpus(t *rapid.T) [][]string {
	words := rapid.IntRange(1, 12).Draw(t, "words")
	return rapid.SliceOfN(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
		return fmt.Sprint("w", min(rapid.IntRange(0, words).Draw(t, "a"), rapid.IntRange(0, words).Draw(t, "b")))
	}), 0, 9), 1, 40).Draw(t, "corpus")
}

// contextsOf lists every context of the model, and some that are not in it.
func contextsOf(m *model, corpus [][]string) [][]uint32 {
	contexts := [][]uint32{{}, {ngram.Unknown}, {ngram.SentenceStart, ngram.Unknown}}
	for _, s := range corpus[:min(len(corpus), 6)] {
		ids := append([]uint32{ngram.SentenceStart}, m.sentence(s, false)...)
		for end := 1; end <= len(ids); end++ {
			for from := max(0, end-m.order+1); from < end; from++ {
				contexts = append(contexts, ids[from:end])
			}
		}
	}
	return contexts
}

func drawChoice(t *rapid.T, order int) choice {
	c := choice{smoothing: rapid.SampledFrom([]ngram.Smoothing{ngram.ModifiedKneserNey, ngram.JelinekMercer, ngram.WittenBell}).Draw(t, "smoothing")}
	switch rapid.SampledFrom([]string{"", "cutoffs", "threshold", "target"}).Draw(t, "pruning") {
	case "cutoffs":
		last := int64(0)
		for n := range rapid.IntRange(1, order).Draw(t, "cutoffs") {
			if n > 0 {
				last += rapid.Int64Range(0, 2).Draw(t, "more")
			}
			c.pruning.Cutoffs = append(c.pruning.Cutoffs, last)
		}
	case "threshold":
		c.pruning.Threshold = math.Pow(10, -float64(rapid.IntRange(1, 8).Draw(t, "threshold")))
	case "target":
		c.pruning.TargetNGrams = rapid.Int64Range(20, 60).Draw(t, "target")
	}
	return c
}

// After every context, the probabilities of all tokens sum to 1: exactly, or up to the rounding of one backoff weight.
func TestMassIsOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		corpus := drawCorpus(t)
		order := rapid.IntRange(1, 12).Draw(t, "order")
		choice := drawChoice(t, order)
		exact := train(t, order, corpus, choice)
		for _, context := range contextsOf(exact, corpus) {
			if mass := exact.mass(context); math.Abs(mass-1) > 1e-9 {
				t.Fatalf("exact: mass %.12f after %v", mass, context)
			}
		}
		for _, choice.storage = range []ngram.Storage{ngram.Storage8, ngram.Storage16} {
			rounded := train(t, order, corpus, choice)
			for _, context := range contextsOf(rounded, corpus) {
				checkMass(t, rounded, context)
			}
		}
	})
}

// checkMass says that the mass after a context is what the estimator says, and differs from 1 by the rounding of the backoff
// weight alone: half a step of it, or what the end of the codebook makes of a weight that lies outside. Below lie weights that
// move less mass than rounding a greater one does; above lie those that make up for codes rounded down.
func checkMass(t *rapid.T, m *model, context []uint32) {
	t.Helper()
	book := m.params.Backoff
	mass, want := m.mass(context), 1.0
	for context = context[max(0, len(context)-m.order+1):]; len(context) > 0; context = context[1:] {
		if stored, found := m.masses[len(context)+1][contexthash.Sum(context)]; found {
			want = stored
			break
		}
	}
	if math.Abs(mass-want) > 1e-9 {
		t.Fatalf("%s bits: mass %.9f after %v, the estimator says %.9f", m.choice.storage, mass, context, want)
	}
	if len(context) == 0 {
		return
	}
	n, hash := len(context)+1, contexthash.Sum(context)
	own := 0.0
	for _, p := range m.probs[n][hash] {
		own += exactmath.Pow10(p)
	}
	weight := exactmath.Pow10(m.backoffs[n][hash])
	rest := (mass - own) / weight // what the shorter context gives to other tokens
	halfStep := math.Pow(10, -book.Lo/float64(len(book.Log10)-1)/2) - 1
	switch needed := (1 - own) / rest; {
	case needed > 1 && m.backoffs[n][hash] == 0:
		if mass < 1-worstCut[m.choice.storage] {
			t.Fatalf("%s bits: mass %.6f after %v", m.choice.storage, mass, context)
		}
	case m.backoffs[n][hash] == book.Lo && needed < math.Pow(10, book.Lo):
		if mass > 1+math.Pow(10, book.Lo)*rest+1e-9 {
			t.Fatalf("%s bits: mass %.6f after %v, whose weight %g is below the codebook", m.choice.storage, mass, context, needed)
		}
	default:
		if math.Abs(mass-1) > halfStep*(1-own)+1e-9 {
			t.Fatalf("%s bits: mass %.6f after %v, half a step is %g of %g", m.choice.storage, mass, context, halfStep, 1-own)
		}
	}
}

// worstCut is how much mass may be missing where a weight above 1 is cut off: half a step of the codes of the followers, here and in
// the shorter contexts, which in 16 bits is 1.6e-4 over [-9, 0] and in 8 bits grows from 0.006 at probability 1.
var worstCut = map[ngram.Storage]float64{ngram.Storage8: 0.03, ngram.Storage16: 4e-4}

func TestDiscounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var counts [4]int64
		for i := range counts {
			counts[i] = rapid.Int64Range(0, 60).Draw(t, "t")
		}
		checkDiscounts(t, counts)
	})
}

func TestDiscountsAtTheEdges(t *testing.T) {
	for counts, want := range map[[4]int64]ngram.Discounts{
		{10, 0, 3, 1}:    {D1: 0.5, D2: 1, D3: 1.5, Fallback: true}, // nothing counted twice
		{100, 40, 20, 0}: {D1: 5. / 9, D2: 7. / 6, D3: 3},
		{2, 9, 60, 0}:    {D1: 0.1, D2: 0, D3: 3}, // D2 is a few ulps below 0 when computed in float64
		{0, 0, 0, 0}:     {D1: 0.5, D2: 1, D3: 1.5, Fallback: true},
		{2, 9, 61, 0}:    {D1: 0.5, D2: 1, D3: 1.5, Fallback: true}, // D2 < 0
	} {
		checkDiscounts(t, counts)
		got := smoothing.Discounts(2, counts)
		if got.Fallback != want.Fallback || math.Abs(got.D1-want.D1)+math.Abs(got.D2-want.D2)+math.Abs(got.D3-want.D3) > 1e-12 {
			t.Errorf("%v: %+v, want %+v", counts, got, want)
		}
	}
}

// checkDiscounts compares with the definition in exact fractions.
func checkDiscounts(t rapid.TB, counts [4]int64) {
	t.Helper()
	fallback, got := false, smoothing.Discounts(2, counts)
	want := [3]float64{0.5, 1, 1.5}
	if counts[0] > 0 && counts[1] > 0 && counts[2] > 0 {
		y := big.NewRat(counts[0], counts[0]+2*counts[1])
		var closed [3]float64
		for k := range closed {
			n := int64(k + 1)
			d := new(big.Rat).Mul(y, big.NewRat((n+1)*counts[k+1], counts[k]))
			d.Sub(big.NewRat(n, 1), d)
			fallback = fallback || d.Sign() < 0 || d.Cmp(big.NewRat(n, 1)) > 0
			closed[k], _ = d.Float64()
		}
		if !fallback {
			want = closed
		}
	} else {
		fallback = true
	}
	if got.Fallback != fallback {
		t.Fatalf("%v: fallback is %t, want %t", counts, got.Fallback, fallback)
	}
	for k, d := range []float64{got.D1, got.D2, got.D3} {
		if math.Abs(d-want[k]) > 1e-13 || d < 0 {
			t.Fatalf("%v: D%d is %g, want %g", counts, k+1, d, want[k])
		}
	}
}

// A follower of a frequent context may round to the whole mass; something must be left for the others.
func TestRoundingLeavesRoom(t *testing.T) {
	var corpus [][]string
	for range 3000 {
		corpus = append(corpus, []string{"always", "so"})
	}
	for i := range 50 {
		corpus = append(corpus, []string{fmt.Sprint("x", i%20), fmt.Sprint("y", i%13), fmt.Sprint("z", i%7)})
	}
	m := train(t, 3, corpus, choice{storage: ngram.Storage8})
	for _, words := range [][]string{{"always"}, {"always", "so"}} {
		p, _ := m.score(m.sentence(words, false), ngram.Unknown)
		if !(p > -12) || math.IsNaN(p) {
			t.Errorf("log10 p(<unk> | %v) = %g", words, p)
		}
		if mass := m.mass(m.sentence(words, false)); math.Abs(mass-1) > 0.02 {
			t.Errorf("mass %g after %v", mass, words)
		}
	}
}

func TestChunks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 3*packed.ChunkSize).Draw(t, "size")
		r := &smoothing.Result{}
		state := rapid.Uint64().Draw(t, "state")
		for i := range size {
			state = state*6364136223846793005 + 1442695040888963407
			r.Tokens, r.Codes = append(r.Tokens, uint32(3*i)), append(r.Codes, state>>57)
		}
		got := map[uint32]uint64{}
		last := uint64(255)
		err := smoothing.Chunks(r, packed.Width8, &smoothing.Scratch{}, func(chunk, followers int, blob []byte) error {
			seen := 0
			err := packed.Decode(blob, packed.Width8, func(code uint64, tokens []uint32) error {
				if code > last {
					return fmt.Errorf("code %d after %d", code, last)
				}
				last = code
				for _, token := range tokens {
					got[token] = code
					seen++
				}
				return nil
			})
			if seen != followers {
				return fmt.Errorf("chunk %d: %d followers, said %d", chunk, seen, followers)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, token := range r.Tokens {
			if got[token] != r.Codes[i] {
				t.Fatalf("token %d has code %d, want %d", token, got[token], r.Codes[i])
			}
		}
	})
}

func TestContradictingCounts(t *testing.T) {
	e := smoothing.NewEstimator(smoothing.Params{Order: 2, Discounts: []ngram.Discounts{{D1: .5, D2: 1, D3: 1.5}, {D1: .5, D2: 1, D3: 1.5}}, VocabularySize: 3})
	if _, err := e.Context(smoothing.Context{N: 1, Hash: 9, Tokens: []uint32{2, 3}, Adjusted: []int64{1, 2}}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]smoothing.Context{
		"no parent":        {N: 2, Hash: 1, Parent: 8, Tokens: []uint32{2}, Adjusted: []int64{1}},
		"no such unigram":  {N: 2, Hash: 1, Parent: 9, Tokens: []uint32{4}, Adjusted: []int64{1}},
		"no followers":     {N: 2, Hash: 1, Parent: 9},
		"a count of zero":  {N: 2, Hash: 1, Parent: 9, Tokens: []uint32{2}, Adjusted: []int64{0}},
		"an order skipped": {N: 4, Hash: 1, Parent: 9, Tokens: []uint32{2}, Adjusted: []int64{1}},
	} {
		if _, err := e.Context(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

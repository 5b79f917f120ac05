package smoothing_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"dbslm/services/ngram"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/goldentest"
	"dbslm/services/ngram/packed"
	"dbslm/services/ngram/quant"
	"dbslm/services/ngram/smoothing"
)

func books(t testing.TB, bits int) storage {
	t.Helper()
	logprob, err := quant.New(quant.Logprob, bits, -7)
	if err != nil {
		t.Fatal(err)
	}
	unigram := logprob
	if bits == 8 {
		if unigram, err = quant.New(quant.Unigram, 12, -8); err != nil {
			t.Fatal(err)
		}
	}
	backoff, err := quant.New(quant.Backoff, bits, -2.5)
	if err != nil {
		t.Fatal(err)
	}
	return storage{unigram, logprob, backoff}
}

func TestGolden(t *testing.T) {
	for _, c := range goldentest.Cases(t) {
		t.Run(c.Name, func(t *testing.T) {
			m := train(t, c.Order, c.Train, c.Quirk, storage{})
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

func TestMassIsOne(t *testing.T) {
	eight, sixteen := books(t, 8), books(t, 16)
	rapid.Check(t, func(t *rapid.T) {
		corpus := drawCorpus(t)
		order := rapid.IntRange(1, 6).Draw(t, "order")
		exact := train(t, order, corpus, false, storage{})
		for _, context := range contextsOf(exact, corpus) {
			if mass := exact.mass(context); math.Abs(mass-1) > 1e-9 {
				t.Fatalf("exact: mass %.12f after %v", mass, context)
			}
		}
		// The rounding of one backoff weight moves at most half a step of the mass left to shorter contexts, and a
		// weight above 1 is cut off.
		for _, s := range []struct {
			storage
			within float64
		}{{eight, 0.012}, {sixteen, 5e-5}} {
			rounded := train(t, order, corpus, false, s.storage)
			for _, context := range contextsOf(rounded, corpus) {
				mass := rounded.mass(context)
				cut := rounded.backoffs[len(context)+1][contexthash.Sum(context)] == 0 || len(context) >= order
				over := s.within
				if rounded.backoffs[len(context)+1][contexthash.Sum(context)] <= s.backoff.Lo {
					over = math.Pow(10, s.backoff.Lo) // this book ends above the weight; a store would take a wider one
				}
				if !(mass <= 1+max(over, s.within)) || mass < 1-s.within && !cut {
					t.Fatalf("%d bits: mass %.6f after %v", s.logprob.Bits, mass, context)
				}
			}
		}
	})
}

func TestDiscounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var counts [4]int64
		for i := range counts {
			counts[i] = rapid.Int64Range(0, 60).Draw(t, "t")
		}
		got := smoothing.Discounts(2, counts)
		// The definition, in exact fractions of float64.
		t1, t2, t3, t4 := float64(counts[0]), float64(counts[1]), float64(counts[2]), float64(counts[3])
		y := t1 / (t1 + 2*t2)
		want := [3]float64{1 - 2*y*t2/t1, 2 - 3*y*t3/t2, 3 - 4*y*t4/t3}
		fails := t1 == 0 || t2 == 0 || t3 == 0
		for k, d := range want {
			if d < -1e-12 || d > float64(k+1)+1e-12 {
				fails = true
			}
		}
		if fails {
			want = [3]float64{0.5, 1, 1.5}
		}
		for k, d := range []float64{got.D1, got.D2, got.D3} {
			if math.Abs(d-want[k]) > 1e-9 && !(math.Abs(want[k]) < 1e-9) {
				t.Fatalf("%v: D%d is %g, want %g", counts, k+1, d, want[k])
			}
		}
	})
	d := smoothing.Discounts(1, [4]int64{10, 0, 3, 1})
	if !d.Fallback || d.D1 != 0.5 || d.D2 != 1 || d.D3 != 1.5 {
		t.Errorf("no n-gram counted twice: %+v", d)
	}
	if d := smoothing.Discounts(1, [4]int64{100, 40, 20, 0}); d.Fallback || d.D3 != 3 {
		t.Errorf("t4 = 0: %+v", d)
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
	m := train(t, 3, corpus, false, books(t, 8))
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

package smoothing_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"dbslm/services/ngram"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/smoothing"
)

// occurrences counts every n-gram up to an order by its ids.
func occurrences(m *model, corpus [][]string) map[string]int64 {
	counts := map[string]int64{}
	for _, s := range corpus {
		ids := append(append([]uint32{ngram.SentenceStart}, m.sentence(s, false)...), ngram.SentenceEnd)
		for end := 1; end < len(ids); end++ {
			for n := 1; n <= m.order && n <= end+1; n++ {
				counts[fmt.Sprint(ids[end-n+1:end+1])]++
			}
		}
	}
	return counts
}

// byDefinition interpolates down from a context, weight and share as the formula says.
func byDefinition(m *model, counts map[string]int64, context []uint32, token uint32, leaveOut int64, rule func(n int, c, total, distinct int64) (share, rest float64)) float64 {
	if len(context) >= m.order {
		context = context[len(context)-m.order+1:]
	}
	var below float64
	if len(context) == 0 {
		below = 1 / float64(m.size)
	} else {
		below = byDefinition(m, counts, context[1:], token, leaveOut, rule)
	}
	total, distinct := int64(0), int64(0)
	for id := range uint32(len(m.words)) {
		c := counts[fmt.Sprint(append(slices.Clone(context), id))]
		if id == token {
			c -= leaveOut
		}
		total += c
		if c > 0 {
			distinct++
		}
	}
	if total == 0 {
		return below
	}
	share, rest := rule(len(context)+1, counts[fmt.Sprint(append(slices.Clone(context), token))]-leaveOut, total, distinct)
	return share + rest*below
}

func TestWittenBellIsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		corpus := drawCorpus(t)
		m := train(t, rapid.IntRange(1, 5).Draw(t, "order"), corpus, choice{smoothing: ngram.WittenBell})
		counts := occurrences(m, corpus)
		rule := func(_ int, c, total, distinct int64) (float64, float64) {
			return float64(c) / float64(total+distinct), float64(distinct) / float64(total+distinct)
		}
		contexts := contextsOf(m, corpus)
		for _, context := range contexts[:min(len(contexts), 12)] {
			for id := range uint32(len(m.words)) {
				if id == ngram.SentenceStart {
					continue
				}
				got, _ := m.score(context, id)
				if want := math.Log10(byDefinition(m, counts, context, id, 0, rule)); math.Abs(got-want) > 1e-9 {
					t.Fatalf("log10 p(%d|%v) is %g, want %g", id, context, got, want)
				}
			}
		}
	})
}

// The weights of Jelinek-Mercer make the tokens, each held out in turn, as likely as EM can.
func TestWeightsAreWhatEMFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		corpus := drawCorpus(t)
		m := train(t, rapid.IntRange(1, 3).Draw(t, "order"), corpus, choice{smoothing: ngram.JelinekMercer})
		counts := occurrences(m, corpus)
		weights := map[[2]int]ngram.Weight{}
		for _, w := range m.weights {
			weights[[2]int{w.Order, w.Class}] = w
		}
		rule := func(n int, c, total, distinct int64) (float64, float64) {
			l := weights[[2]int{n, smoothing.Class(total, distinct)}].Lambda
			return l * float64(c) / float64(total), 1 - l
		}
		type held struct{ own, below float64 }
		tokens := map[[2]int][]held{}
		for _, s := range corpus {
			ids := append(append([]uint32{ngram.SentenceStart}, m.sentence(s, false)...), ngram.SentenceEnd)
			for end := 1; end < len(ids); end++ {
				for n := 1; n <= m.order && n <= end+1; n++ {
					context := ids[end-n+1 : end]
					below := 1 / float64(m.size)
					if n > 1 {
						below = byDefinition(m, counts, context[1:], ids[end], 1, rule)
					}
					total, distinct := int64(-1), int64(0)
					for id := range uint32(len(m.words)) {
						c := counts[fmt.Sprint(append(slices.Clone(context), id))]
						total += c
						if c > 1 || c == 1 && id != ids[end] {
							distinct++
						}
					}
					if total > 0 {
						key := [2]int{n, smoothing.Class(total, distinct)}
						own := float64(counts[fmt.Sprint(ids[end-n+1:end+1])]-1) / float64(total)
						tokens[key] = append(tokens[key], held{own, below})
					}
				}
			}
		}
		for key, w := range weights {
			if int64(len(tokens[key])) != w.Events {
				t.Fatalf("%v: %d tokens were held out, want %d", key, w.Events, len(tokens[key]))
			}
			l := 0.5
			for range 4000 { // EM, with one token more for either side
				sum := 1.0
				for _, h := range tokens[key] {
					sum += l * h.own / (l*h.own + (1-l)*h.below)
				}
				l = sum / float64(len(tokens[key])+2)
			}
			// Where the two predictions are nearly alike the tokens hardly say which weight is right, and the steps of the
			// tally show in it; how likely it makes the tokens is what counts.
			likelihood := func(l float64) float64 {
				sum := math.Log(l) + math.Log(1-l)
				for _, h := range tokens[key] {
					sum += math.Log(l*h.own/h.below + (1 - l))
				}
				return sum
			}
			if lost := likelihood(l) - likelihood(w.Lambda); lost > 1e-4*float64(len(tokens[key])+2) || math.Abs(l-w.Lambda) > 0.05 {
				t.Fatalf("%v: weight %g of %d tokens, EM finds %g, which is %g more likely", key, w.Lambda, len(tokens[key]), l, lost)
			}
			if w.Events == 0 && math.Abs(w.Lambda-0.5) > 1e-12 {
				t.Fatalf("%v: weight %g without a token", key, w.Lambda)
			}
		}
	})
}

// Odd texts at every order: a probability for every token, and mass 1.
func TestOddTextsAtEveryOrder(t *testing.T) {
	for name, corpus := range map[string][][]string{
		"one sentence":        {strings.Fields("the cat sat on the mat")},
		"one word":            {{"a"}},
		"an empty sentence":   {{}},
		"one repeated word":   {slices.Repeat([]string{"a"}, 40), slices.Repeat([]string{"a"}, 40)},
		"a repeated sentence": slices.Repeat([][]string{strings.Fields("the cat sat on the mat")}, 9),
		"nothing seen once":   append(slices.Repeat([][]string{strings.Fields("a b c")}, 5), slices.Repeat([][]string{strings.Fields("c b a")}, 7)...),
		"everything once":     {strings.Fields("a b c d e f g h i j k l m n o p q r s t")},
	} {
		for order := 1; order <= 14; order++ {
			for _, s := range []ngram.Smoothing{ngram.ModifiedKneserNey, ngram.JelinekMercer, ngram.WittenBell} {
				for _, storage := range []ngram.Storage{ngram.StorageExact, ngram.Storage8, ngram.Storage16} {
					if storage != ngram.StorageExact && order%4 != 2 { // rounding is one value's matter, not the order's
						continue
					}
					m := train(t, order, corpus, choice{smoothing: s, storage: storage})
					within := map[ngram.Storage]float64{ngram.StorageExact: 1e-9, ngram.Storage8: 0.03, ngram.Storage16: 4e-4}[storage]
					for _, context := range contextsOf(m, corpus) {
						if mass := m.mass(context); !(math.Abs(mass-1) <= within) {
							t.Errorf("%s, order %d, %s, %s: mass %g after %v", name, order, s, storage, mass, context)
						}
					}
				}
			}
		}
	}
}

// grams lists the n-grams of order 2 and up that a model has, by context and token.
func grams(m *model) map[string]bool {
	found := map[string]bool{}
	for n := 2; n <= m.order; n++ {
		for hash, followers := range m.probs[n] {
			for token := range followers {
				found[fmt.Sprint(n, hash, token)] = true
			}
		}
	}
	return found
}

func TestPruning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		corpus := drawCorpus(t)
		order := rapid.IntRange(2, 5).Draw(t, "order")
		c := drawChoice(t, order)
		c.pruning = ngram.Pruning{}
		whole := train(t, order, corpus, c)
		counts := occurrences(whole, corpus)

		last := grams(whole)
		for _, threshold := range []float64{1e-6, 1e-3, 1e-2, 0.1} {
			c.pruning = ngram.Pruning{Threshold: threshold}
			m := train(t, order, corpus, c)
			now := grams(m)
			for gram := range now {
				if !last[gram] {
					t.Fatalf("%s stays at %g and goes at less", gram, threshold)
				}
			}
			checkClosed(t, m, corpus)
			last = now
		}
		unigrams := int64(len(whole.probs[1][contexthash.Sum(nil)]) - 1)
		c.pruning = ngram.Pruning{TargetNGrams: unigrams + rapid.Int64Range(0, 30).Draw(t, "target")}
		m := train(t, order, corpus, c)
		if got := unigrams + int64(len(grams(m))); got > c.pruning.TargetNGrams {
			t.Fatalf("%d n-grams are left, the target is %d", got, c.pruning.TargetNGrams)
		}
		checkClosed(t, m, corpus)

		c.pruning = ngram.Pruning{Cutoffs: []int64{0, 1}}
		m = train(t, order, corpus, c)
		left := grams(m)
		for gram, count := range counts {
			ids := strings.Fields(strings.Trim(gram, "[]"))
			if len(ids) < 2 {
				continue
			}
			context := make([]uint32, len(ids))
			for i, id := range ids {
				if _, err := fmt.Sscan(id, &context[i]); err != nil {
					t.Fatal(err)
				}
			}
			key := fmt.Sprint(len(ids), contexthash.Sum(context[:len(ids)-1]), context[len(ids)-1])
			if left[key] != (count > 1) {
				t.Fatalf("%v occurred %d times; it stays: %t", context, count, left[key])
			}
		}
		if pruned := m.plan.Pruned; len(grams(whole))-len(left) != int(sum(pruned)) || pruned[0] != 0 {
			t.Fatalf("%d n-grams went, the plan says %v", len(grams(whole))-len(left), pruned)
		}
	})
}

func sum(list []int64) (total int64) {
	for _, n := range list {
		total += n
	}
	return total
}

// checkClosed says that what a longer n-gram begins or ends with stays with it.
func checkClosed(t *rapid.T, m *model, corpus [][]string) {
	t.Helper()
	has := func(ids []uint32) bool {
		if len(ids) == 1 {
			return true
		}
		_, found := m.probs[len(ids)][contexthash.Sum(ids[:len(ids)-1])][ids[len(ids)-1]]
		return found
	}
	for _, s := range corpus {
		ids := append(append([]uint32{ngram.SentenceStart}, m.sentence(s, false)...), ngram.SentenceEnd)
		for end := 1; end < len(ids); end++ {
			for n := 2; n <= m.order && n <= end+1; n++ {
				gram := ids[end-n+1 : end+1]
				if has(gram) && !(has(gram[1:]) && has(gram[:n-1])) {
					t.Fatalf("%v stays without what it ends or begins with", gram)
				}
			}
		}
	}
}

// Token ids follow the order of arrival; nothing else may.
func TestAnyOrderOfArrivalGivesTheSameModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		corpus := drawCorpus(t)
		order := rapid.IntRange(1, 5).Draw(t, "order")
		c := drawChoice(t, order)
		c.storage = rapid.SampledFrom([]ngram.Storage{ngram.StorageExact, ngram.Storage8, ngram.Storage16}).Draw(t, "storage")
		first := spelled(train(t, order, corpus, c), corpus)
		if second := spelled(train(t, order, rapid.Permutation(corpus).Draw(t, "permuted"), c), corpus); !maps.Equal(first, second) {
			t.Fatalf("%v\n%v", first, second)
		}
	})
}

// spelled is what the model says about every n-gram of a corpus, by its words.
func spelled(m *model, corpus [][]string) map[string]string {
	out := map[string]string{}
	for _, s := range corpus {
		ids := append(append([]uint32{ngram.SentenceStart}, m.sentence(s, false)...), ngram.SentenceEnd)
		for end := 1; end < len(ids); end++ {
			for n := 1; n <= m.order && n <= end+1; n++ {
				words := ""
				for _, id := range ids[end-n+1 : end+1] {
					words += m.words[id] + " "
				}
				hash := contexthash.Sum(ids[end-n+1 : end])
				code, found := m.codes[n][hash][ids[end]]
				out[words] = fmt.Sprint(code, found, m.backoffs[n][hash])
			}
		}
	}
	return out
}

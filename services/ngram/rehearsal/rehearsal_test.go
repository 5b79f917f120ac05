package rehearsal_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dbslm/pkg/errors"
	"dbslm/pkg/text"
	"dbslm/services/ngram"
	"dbslm/services/ngram/goldentest"
	"dbslm/services/ngram/rehearsal"
)

func rehearse(t testing.TB, order int, limit int64, training, heldOut [][]string, storage ngram.Storage) (r *rehearsal.Rehearsal, perplexity float64) {
	t.Helper()
	r = rehearsal.New(order, limit)
	for _, sentence := range training {
		if err := r.Add(sentenceOf(sentence), 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Count(); err != nil {
		t.Fatal(err)
	}
	for _, sentence := range heldOut {
		r.Probe(sentenceOf(sentence))
	}
	probed, err := r.Estimate(storage)
	if err != nil {
		t.Fatal(err)
	}
	return r, math.Pow(10, -probed.Stored/float64(probed.Tokens))
}

func sentenceOf(tokens []string) (s text.Sentence) {
	for _, token := range tokens {
		s.Tokens = append(s.Tokens, text.Token{Text: []byte(token)})
	}
	return s
}

// What a rehearsal says is what KenLM printed: n-grams, discounts, perplexity.
func TestRehearsalIsGolden(t *testing.T) {
	for _, c := range goldentest.Cases(t) {
		if c.Quirk {
			continue // another tally on tiny texts
		}
		t.Run(c.Name, func(t *testing.T) {
			r, perplexity := rehearse(t, c.Order, 512<<20, c.Train, c.Test, ngram.StorageExact)
			if want := c.Golden.PerplexityWithOOV; math.Abs(perplexity/want-1) > 1e-6 {
				t.Errorf("perplexity %g, want %g", perplexity, want)
			}
			for n, o := range r.Orders() {
				want := c.Golden.NGramCounts[n]
				if n == 0 {
					want -= 2 // <unk> and <s>
				}
				if o.NGrams != want {
					t.Errorf("order %d: %d n-grams, want %d", n+1, o.NGrams, want)
				}
			}
		})
	}
}

// A rehearsal that would take more memory than it is allowed says so.
func TestRehearsalIsBounded(t *testing.T) {
	r := rehearsal.New(3, 1<<20)
	err := error(nil)
	for i := 0; err == nil && i < 1<<20; i++ {
		err = r.Add(sentenceOf(strings.Fields("a b c d e f g h i j")), 1)
	}
	if errors.KindOf(err) != errors.ResourceExhausted {
		t.Errorf("it ended with %v", err)
	}
}

// BenchmarkRehearsal counts and estimates the text of DBSLM_DATA_DIR, both corpora joined, else a small one, and reports tokens
// per CPU second.
func BenchmarkRehearsal(b *testing.B) {
	training := strings.Repeat("the quick brown fox jumps over the lazy dog .\n", 2000)
	if dir := os.Getenv("DBSLM_DATA_DIR"); dir != "" {
		training = ""
		for _, name := range []string{"warandpeace", "shakespeare"} {
			found, err := os.ReadFile(filepath.Join(dir, name+".train.txt"))
			if err != nil {
				b.Fatal(err)
			}
			training += string(found)
		}
	}
	tokenizer, err := text.NewTokenizer(text.Whitespace, "", text.NFC)
	if err != nil {
		b.Fatal(err)
	}
	for name, order := range map[string]int{"order3": 3, "order5": 5} {
		b.Run(name, func(b *testing.B) {
			tokens, begin := int64(0), cpu(b)
			var read, counted time.Duration
			for b.Loop() {
				start := cpu(b)
				r := rehearsal.New(order, 512<<20)
				if err := tokenizer.Sentences(strings.NewReader(training), func(s text.Sentence) error { return r.Add(s, 1) }); err != nil {
					b.Fatal(err)
				}
				read += cpu(b) - start
				_, all, _ := r.Totals()
				tokens += all
				start = cpu(b)
				if err := r.Count(); err != nil {
					b.Fatal(err)
				}
				counted += cpu(b) - start
				if _, err := r.Estimate(ngram.Storage8); err != nil {
					b.Fatal(err)
				}
			}
			all := cpu(b) - begin
			b.ReportMetric(float64(tokens)/all.Seconds(), "tokens/CPU-s")
			b.ReportMetric(100*read.Seconds()/all.Seconds(), "%-reading")
			b.ReportMetric(100*counted.Seconds()/all.Seconds(), "%-counting")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// Package goldentest reads the golden vectors: models estimated and texts scored by KenLM, against which the tests of
// estimation, storage and scoring compare. The tiny vectors are files of this repository. DBSLM_GOLDEN_DIR names a
// directory with the corpora's vectors; their texts are in DBSLM_DATA_DIR, or else in its sibling "data". Without it the
// corpora are no part of a suite; with it a missing file fails.
package goldentest

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// Case is one golden model with a scored text.
type Case struct {
	Name  string
	Order int
	Train [][]string // sentences of the training text
	Test  [][]string // sentences of the scored text
	// TrainFile and TestFile are their paths.
	TrainFile, TestFile string
	// Quirk is set where KenLM's tally of its last n-gram shows.
	Quirk  bool
	ARPA   string // path of the complete model; empty where there is none
	Golden Golden
}

// Golden is a vector file.
type Golden struct {
	TrainFile         string               `json:"train_file"`
	TestFile          string               `json:"test_file"`
	Order             int                  `json:"order"`
	FallbackUsed      bool                 `json:"fallback_discounts_used"`
	NGramCounts       []int64              `json:"ngram_counts"`
	Discounts         []map[string]float64 `json:"discounts"`
	TestTokens        int64                `json:"test_tokens_including_eos"`
	OOV               int64                `json:"oov_count"`
	PerplexityWithOOV float64              `json:"perplexity_including_oov"`
	PerplexityNoOOV   float64              `json:"perplexity_excluding_oov"`
	Sentences         []Sentence           `json:"sentences"`
	Totals            []float64            `json:"all_sentence_total_log10"`
}

// Sentence is a scored sentence.
type Sentence struct {
	Index  int     `json:"index"`
	Total  float64 `json:"total_log10"`
	OOV    int64   `json:"oov"`
	Tokens []Token `json:"tokens"`
}

// Token is a scored token.
type Token struct {
	Token   string
	Matched int // length of the n-gram that was found; 1 for an unknown token
	Log10   float64
}

// UnmarshalJSON reads [token, matched, log10].
func (t *Token) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]any{&t.Token, &t.Matched, &t.Log10})
}

// Cases returns the golden models of this run.
func Cases(t testing.TB) []Case {
	t.Helper()
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("the test binary does not know where its source is")
	}
	tiny := filepath.Join(filepath.Dir(here), "..", "testdata", "golden")
	cases := []Case{
		load(t, tiny, tiny, "tiny_o3", true),
		load(t, tiny, tiny, "tiny_edge_o3", true),
	}
	if dir := os.Getenv("DBSLM_GOLDEN_DIR"); dir != "" {
		data := os.Getenv("DBSLM_DATA_DIR")
		if data == "" {
			data = filepath.Join(dir, "..", "data")
		}
		for _, name := range []string{"shakespeare_o3", "shakespeare_o5", "warandpeace_o3"} {
			cases = append(cases, load(t, dir, data, name, false))
		}
	}
	return cases
}

// Corpora returns the case of order 3 of every corpus in this run; none without DBSLM_GOLDEN_DIR.
func Corpora(t testing.TB) []Case {
	t.Helper()
	var corpora []Case
	for _, c := range Cases(t) {
		if !c.Quirk && c.Order == 3 {
			corpora = append(corpora, c)
		}
	}
	return corpora
}

func load(t testing.TB, dir, data, name string, quirk bool) Case {
	t.Helper()
	c := Case{Name: name, Quirk: quirk}
	text, err := os.ReadFile(filepath.Join(dir, name+".json"))
	if err != nil {
		t.Fatalf("golden vectors: %v", err)
	}
	if err := json.Unmarshal(text, &c.Golden); err != nil {
		t.Fatalf("golden vectors %s: %v", name, err)
	}
	c.Order = c.Golden.Order
	c.TrainFile = filepath.Join(data, filepath.Base(c.Golden.TrainFile))
	c.TestFile = filepath.Join(data, filepath.Base(c.Golden.TestFile))
	c.Train, c.Test = sentences(t, c.TrainFile), sentences(t, c.TestFile)
	if quirk {
		c.ARPA = filepath.Join(dir, strings.TrimSuffix(name, "_o3")+".arpa")
	}
	return c
}

// sentences cuts a text as KenLM does: a sentence a line, tokens between space, tab, CR and NUL.
func sentences(t testing.TB, path string) [][]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("golden text: %v", err)
	}
	var out [][]string
	for line := range strings.SplitSeq(strings.TrimSuffix(string(text), "\n"), "\n") {
		out = append(out, strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\r\x00", r) }))
	}
	return out
}

// Entry is a line of an ARPA file.
type Entry struct{ Log10, Backoff float64 }

// ReadARPA returns the n-grams of an ARPA file by their words, joined by one space.
func ReadARPA(t testing.TB, path string) map[string]Entry {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("golden model: %v", err)
	}
	entries := map[string]Entry{}
	for line := range strings.SplitSeq(string(text), "\n") {
		fields := strings.Split(line, "\t")
		if len(fields) < 2 {
			continue
		}
		var entry Entry
		if entry.Log10, err = strconv.ParseFloat(fields[0], 64); err == nil && len(fields) == 3 {
			entry.Backoff, err = strconv.ParseFloat(fields[2], 64)
		}
		if err != nil {
			t.Fatalf("%s: %q: %v", path, line, err)
		}
		entries[fields[1]] = entry
	}
	return entries
}

// Score scores a sentence given without its marks: a token for each word and one for the end, in order.
type Score func(sentence []string) []Token

// Check compares a scorer of exact probabilities with the vectors: every recorded token to 2e-6 and its matched length
// exactly, every sentence total, token and OOV counts, and both perplexities to 1e-6 relative.
func (c Case) Check(t *testing.T, score Score) {
	t.Helper()
	tokens, oov, sum, sumOOV := int64(0), int64(0), 0.0, 0.0
	if len(c.Test) != len(c.Golden.Totals) {
		t.Fatalf("%d sentences, the vectors have %d", len(c.Test), len(c.Golden.Totals))
	}
	known := map[string]bool{"</s>": true}
	for _, s := range c.Train {
		for _, w := range s {
			known[w] = true
		}
	}
	for i, sentence := range c.Test {
		scored := score(sentence)
		total := 0.0
		for j, token := range scored {
			total += token.Log10
			if j < len(sentence) && !known[sentence[j]] {
				oov++
				sumOOV += token.Log10
			}
		}
		tokens += int64(len(scored))
		sum += total
		if want := c.Golden.Totals[i]; math.Abs(total-want) > 1e-6*float64(len(scored))+1e-6*math.Abs(want) {
			t.Errorf("sentence %d has total %.8f, KenLM says %.8f", i, total, want)
		}
		if i < len(c.Golden.Sentences) {
			checkTokens(t, i, scored, c.Golden.Sentences[i].Tokens)
		}
	}
	if tokens != c.Golden.TestTokens || oov != c.Golden.OOV {
		t.Errorf("%d tokens, %d of them unknown; KenLM says %d and %d", tokens, oov, c.Golden.TestTokens, c.Golden.OOV)
	}
	for _, p := range []struct {
		name      string
		got, want float64
	}{
		{"including", math.Pow(10, -sum/float64(tokens)), c.Golden.PerplexityWithOOV},
		{"excluding", math.Pow(10, -(sum-sumOOV)/float64(tokens-oov)), c.Golden.PerplexityNoOOV},
	} {
		if math.Abs(p.got/p.want-1) > 1e-6 {
			t.Errorf("perplexity %s OOV is %.6f, KenLM says %.6f", p.name, p.got, p.want)
		}
	}
}

func checkTokens(t *testing.T, sentence int, scored, want []Token) {
	t.Helper()
	if len(scored) != len(want) {
		t.Errorf("sentence %d has %d tokens, KenLM says %d", sentence, len(scored), len(want))
		return
	}
	for i, w := range want {
		if math.Abs(scored[i].Log10-w.Log10) > 2e-6 || scored[i].Matched != w.Matched {
			t.Errorf("sentence %d, token %d: %s, KenLM says %s", sentence, i, fmt.Sprint(scored[i]), fmt.Sprint(w))
		}
	}
}

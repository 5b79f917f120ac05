package store_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"

	"pgregory.net/rapid"
)

// probedCorpus is a random corpus and a text to measure on.
type probedCorpus struct {
	settings ngram.Settings
	texts    []string
	probe    string
	every    store.Probing
}

var anyProbed = rapid.Custom(func(t *rapid.T) probedCorpus {
	word := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g"})
	line := rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(word, 0, 7).Draw(t, "words"), " ") + "\n" })
	text := rapid.Custom(func(t *rapid.T) string {
		return "a b\n" + strings.Join(rapid.SliceOfN(line, 1, 8).Draw(t, "lines"), "")
	})
	return probedCorpus{
		settings: ngram.Settings{Order: rapid.IntRange(1, 5).Draw(t, "order"), Tokenizer: ngram.TokenizerWhitespace},
		texts:    rapid.SliceOfN(text, 1, 6).Draw(t, "texts"),
		probe:    strings.ReplaceAll(text.Draw(t, "probe"), "g", "zz"),
		every:    store.Probing{Documents: int64(rapid.IntRange(0, 3).Draw(t, "documents")), Tokens: int64(rapid.SampledFrom([]int{0, 5, 30}).Draw(t, "tokens"))},
	}
})

// What a probe tells while counts grow is what an exact build of the same counts says of the same text, and the last one is of all of them.
// It is told when it was asked for, and changes nothing in what is counted.
func TestProbes(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, small)
		for i := range cases(t, 10) {
			c, name, like := anyProbed.Example(i), fmt.Sprint("m", i), fmt.Sprint("like", i)
			if _, _, err := s.CreateModel(t.Context(), tenant, name, c.settings); err != nil {
				t.Fatal(err)
			}
			var told []ngram.Probe
			probing := c.every
			probing.Text, probing.Tell = []byte(c.probe), func(p ngram.Probe) error {
				told = append(told, p)
				return nil
			}
			err := s.Train(t.Context(), tenant, name, "test", func(ctx context.Context, trainer *store.Trainer) error {
				if err := trainer.Probe(probing); err != nil {
					return err
				}
				for j, text := range c.texts {
					if _, _, err := trainer.Receive(ctx, source(fmt.Sprint(j), text)); err != nil {
						return err
					}
				}
				if _, err := trainer.Count(ctx, nil); err != nil {
					return err
				}
				return trainer.ProbeLast(ctx)
			})
			if err != nil {
				t.Fatal(err)
			}
			if n := c.every.Documents; n > 0 && c.every.Tokens == 0 && len(told) != (len(c.texts)+int(n)-1)/int(n) {
				t.Errorf("%+v: told %d times", c, len(told))
			}
			if c.every.Documents+c.every.Tokens == 0 && len(told) != 1 {
				t.Errorf("%+v: told %d times", c, len(told))
			}
			checkProbe(t, db, s, name, c, told[len(told)-1])
			for j, text := range c.texts { // the counts after whole documents, again
				mustReceive(t, s, like, c.settings, source(fmt.Sprint(j), text))
				for _, p := range told {
					if m, err := s.Model(t.Context(), tenant, like); err == nil && m.Documents == p.Documents && m.Tokens == p.Tokens {
						checkProbe(t, db, s, like, c, p)
					}
				}
			}
		}
		for text, reason := range map[string]string{"\n": "TEXT_EMPTY", "\xff": "INVALID_TEXT"} {
			err := s.Train(t.Context(), tenant, "m0", "test", func(_ context.Context, trainer *store.Trainer) error {
				return trainer.Probe(store.Probing{Text: []byte(text)})
			})
			if errors.KindOf(err) != errors.InvalidArgument || errors.ReasonOf(err) != reason {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}

// checkProbe compares a probe with the measure of an exact build, which is computed on another way: derivation passes every context.
func checkProbe(t *testing.T, db *database.DB, s *store.Store, name string, c probedCorpus, p ngram.Probe) {
	t.Helper()
	if _, _, err := s.SetHeldOut(t.Context(), tenant, name, []byte(c.probe)); err != nil {
		if errors.ReasonOf(err) == "HELD_OUT_TRAINED" {
			return
		}
		t.Fatal(err)
	}
	built := build(t, s, name, ngram.BuildOptions{Storage: ngram.StorageExact}, false)
	h := built.HeldOut
	if h == nil || h.Sentences != p.Sentences || h.Tokens != p.Events || h.OOV != p.OOV || math.Abs(h.Log10-p.Log10) > 1e-9*math.Abs(h.Log10) {
		t.Errorf("%+v: probe %+v, build %+v", c, p, h)
	}
}

package store_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"
)

// rebuilding is a random model and what is made of it.
type rebuilding struct {
	settings, wanted ngram.Settings
	texts            []string
	weights          []int64
	stops            []int // milliseconds of a clock that ticks whenever somebody looks at it
}

var anyRebuilding = rapid.Custom(func(t *rapid.T) rebuilding {
	normal := rapid.SampledFrom([]ngram.Normalization{"", ngram.NormalizationNone}).Draw(t, "normalization")
	r := rebuilding{settings: ngram.Settings{Order: rapid.IntRange(1, 3).Draw(t, "order"), Tokenizer: ngram.TokenizerWords, Normalization: normal}}
	r.wanted = ngram.Settings{
		Order:         rapid.IntRange(1, 4).Draw(t, "new order"),
		Tokenizer:     rapid.SampledFrom([]ngram.Tokenizer{ngram.TokenizerWords, ngram.TokenizerWhitespace, ngram.TokenizerBytes}).Draw(t, "tokenizer"),
		Normalization: rapid.SampledFrom([]ngram.Normalization{normal, ngram.NormalizationNFKC}).Draw(t, "new normalization"),
	}
	piece := rapid.SampledFrom([]string{"The boat", " is", " here. ", "\n\n", "cafe\u0301 ", "ﬁne ", "\r\n", "Anna's", " 'so' ", "A B C D. "})
	for range rapid.IntRange(1, 4).Draw(t, "documents") {
		r.texts = append(r.texts, "It begins. "+strings.Join(rapid.SliceOfN(piece, 1, 12).Draw(t, "text"), ""))
		r.weights = append(r.weights, int64(rapid.IntRange(1, 3).Draw(t, "weight")))
	}
	r.stops = rapid.SliceOfN(rapid.IntRange(1, 60), 0, 4).Draw(t, "stops")
	return r
})

func (r rebuilding) sources() (all []store.Source) {
	for i, text := range r.texts {
		all = append(all, store.Source{Label: fmt.Sprint("d", i), Text: strings.NewReader(text), Weight: r.weights[i]})
	}
	return all
}

// A model rebuilt from kept text is, row by row, the one that the texts themselves give, whatever the settings, and however
// often it was stopped on the way; the texts themselves change nothing in it.
func TestRebuild(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		for i := range cases(t, 10) {
			c := anyRebuilding.Example(i)
			from, to, direct := fmt.Sprint("from", i), fmt.Sprint("to", i), fmt.Sprint("direct", i)
			s := store.New(db, small)
			mustReceive(t, s, from, c.settings, c.sources()...)
			mustReceive(t, s, direct, c.wanted, c.sources()...)
			r := store.Rebuilding{Tenant: tenant, Model: from, Target: to, Settings: c.wanted, Owner: "test"}
			stepping, now := small, time.Now()
			var looking sync.Mutex
			stepping.Clock = func() time.Time {
				looking.Lock()
				defer looking.Unlock()
				now = now.Add(time.Millisecond)
				return now
			}
			for _, stop := range c.stops {
				r.Until = stepping.Clock().Add(time.Duration(stop) * time.Millisecond)
				if err := store.New(db, stepping).Rebuild(t.Context(), r, nil); err != nil && !errors.Is(err, store.ErrPaused) {
					t.Fatal(err)
				}
			}
			r.Until = time.Time{}
			done := int64(0)
			if err := s.Rebuild(t.Context(), r, func(_ string, _, documents, _ int64) { done = documents }); err != nil || done != int64(len(c.texts)) {
				t.Fatal(err, done)
			}
			if diff := cmp.Diff(read(t, db, direct, 0), read(t, db, to, 0)); diff != "" {
				t.Fatalf("%+v: %s", c, diff)
			}
			checkTotals(t, s, direct, to)
			if diff := cmp.Diff(documentsOf(t, s, direct), documentsOf(t, s, to)); diff != "" {
				t.Fatalf("%+v: %s", c, diff)
			}
			outcomes, err := receive(t, s, to, ngram.Settings{}, c.sources()...)
			for _, outcome := range outcomes {
				if err != nil || outcome != ngram.OutcomeUnchanged {
					t.Fatal(outcomes, err)
				}
			}
		}
		refuseRebuild(t, db)
	})
}

func documentsOf(t *testing.T, s *store.Store, name string) []ngram.Document {
	t.Helper()
	documents, err := s.Documents(t.Context(), tenant, name, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	for i := range documents {
		documents[i].ID, documents[i].Model, documents[i].Created = "", 0, time.Time{}
	}
	return documents
}

func refuseRebuild(t *testing.T, db *database.DB) {
	s := store.New(db, small)
	words := ngram.Settings{Order: 2, Tokenizer: ngram.TokenizerWhitespace}
	dropped := source("gone", "x y\n")
	dropped.DropText = true
	mustReceive(t, s, "dropped", words, source("kept", "x z\n"), dropped)
	mustReceive(t, s, "whole", words, source("a", "x z\n"))
	mustReceive(t, s, "composed", ngram.Settings{Order: 2, Normalization: ngram.NormalizationNFKC}, source("a", "x z\n"))
	mustReceive(t, s, "foreign", words, source("b", "x z\n"))
	for name, c := range map[string]struct {
		r      store.Rebuilding
		kind   errors.Kind
		reason string
	}{
		"a text that was not kept":    {store.Rebuilding{Model: "dropped", Target: "new"}, errors.FailedPrecondition, "TEXT_NOT_KEPT"},
		"a form that is lost":         {store.Rebuilding{Model: "composed", Target: "new", Settings: ngram.Settings{Normalization: ngram.NormalizationNFC}}, errors.FailedPrecondition, "TEXT_NORMALISED"},
		"its own name":                {store.Rebuilding{Model: "whole", Target: "whole"}, errors.InvalidArgument, "MODEL_NAME_INVALID"},
		"no model":                    {store.Rebuilding{Model: "nothing", Target: "new"}, errors.NotFound, "MODEL_NOT_FOUND"},
		"impossible settings":         {store.Rebuilding{Model: "whole", Target: "new", Settings: ngram.Settings{Order: 300}}, errors.InvalidArgument, "MODEL_SETTINGS_INVALID"},
		"a model with other texts":    {store.Rebuilding{Model: "whole", Target: "foreign"}, errors.FailedPrecondition, "MODEL_HAS_OTHER_TEXT"},
		"a model with other settings": {store.Rebuilding{Model: "whole", Target: "foreign", Settings: ngram.Settings{Order: 5}}, errors.FailedPrecondition, "MODEL_SETTINGS_DIFFER"},
	} {
		c.r.Tenant, c.r.Owner = tenant, "test"
		err := s.Rebuild(t.Context(), c.r, nil)
		if errors.KindOf(err) != c.kind || errors.ReasonOf(err) != c.reason {
			t.Errorf("%s: %v (%s)", name, err, errors.ReasonOf(err))
		}
		if _, err := s.Model(t.Context(), tenant, "new"); errors.KindOf(err) != errors.NotFound {
			t.Errorf("%s made a model: %v", name, err)
		}
	}
}

package store_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/decoding"
	"dbslm/services/ngram/scoring"
	"dbslm/services/ngram/store"
)

// A model with a random history is the model that was trained and built once, on what is left, in another order: documents
// with weights arrive, are replaced and forgotten, builds of every kind are derived, published and dropped between, in
// transactions of any size, and any of it is killed at any statement and done again. All rows are compared, in words. The copy
// of the model is equal, its probabilities sum to 1, and every path to it scores alike, to the bit.
func TestAnyHistory(t *testing.T) {
	databasetest.EachTarget(t, func(t *testing.T, target database.Target) {
		observer := &killer{}
		db := databasetest.Open(t, target, store.Schema, database.Options{Observer: observer})
		for c := range min(cases(t, 50), 3000) {
			h := newHistory(t, db, observer, uint64(c))
			for range 3 + h.random.IntN(5) {
				h.step()
			}
			h.finish()
			if t.Failed() {
				t.Fatalf("case %d: %+v, %+v: %v", c, h.settings, h.options, h.done)
			}
		}
	})
}

// history is a model in the making.
type history struct {
	*testing.T
	db       *database.DB
	observer *killer
	random   *rand.Rand
	store    *store.Store
	name     string
	settings ngram.Settings
	options  ngram.BuildOptions // of the last build
	there    map[string]arrived
	arrivals int
	builds   []ngram.BuildID
	serves   ngram.BuildID
	done     []string // for people
}

type arrived struct {
	text   string
	weight int64
	drop   bool // the text is not kept
}

func newHistory(t *testing.T, db *database.DB, observer *killer, seed uint64) *history {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 7))
	h := &history{
		T: t, db: db, observer: observer, random: random, name: fmt.Sprint("grown-", seed), there: map[string]arrived{},
		settings: ngram.Settings{Order: 1 + random.IntN(5), Tokenizer: []ngram.Tokenizer{ngram.TokenizerWhitespace, ngram.TokenizerWords}[random.IntN(2)]},
	}
	h.options = h.anyOptions()
	h.store = store.New(db, []store.Options{{}, {BatchWindows: 20 + random.IntN(200), PartRows: 15 + random.IntN(90)}}[random.IntN(2)])
	h.create(h.name)
	return h
}

func (h *history) create(name string) {
	h.Helper()
	if _, _, err := h.store.CreateModel(h.Context(), tenant, name, h.settings); err != nil {
		h.Fatal(err)
	}
}

func (h *history) anyOptions() ngram.BuildOptions {
	options := ngram.BuildOptions{
		Storage:   []ngram.Storage{ngram.Storage8, ngram.StorageExact}[h.random.IntN(2)],
		Smoothing: []ngram.Smoothing{ngram.ModifiedKneserNey, ngram.ModifiedKneserNey, ngram.JelinekMercer, ngram.WittenBell}[h.random.IntN(4)],
	}
	if h.random.IntN(15) == 0 { // its codebooks have 65,536 rows
		options.Storage = ngram.Storage16
	}
	switch h.random.IntN(8) {
	case 0:
		options.Pruning.Cutoffs = []int64{0, 1}[:min(2, h.settings.Order)]
	case 1:
		options.Pruning.Threshold = 1e-3
	case 2:
		options.Pruning.TargetNGrams = 40
	case 3:
		options.Pruning.TargetBytes = 6000
	}
	return options
}

func (h *history) anyText() string {
	return text(h.settings.Tokenizer, append(sentences(h.random.Uint64(), 1+h.random.IntN(8)), "a b"))
}

// anyLabel is one of the documents that satisfy wanted; "" for none.
func (h *history) anyLabel(wanted func(arrived) bool) string {
	labels := slices.DeleteFunc(slices.Sorted(maps.Keys(h.there)), func(label string) bool { return !wanted(h.there[label]) })
	if len(labels) == 0 {
		return ""
	}
	return labels[h.random.IntN(len(labels))]
}

// step lets something happen.
func (h *history) step() {
	h.Helper()
	switch h.random.IntN(8) {
	case 0, 1, 2:
		h.arrive()
	case 3:
		if label := h.anyLabel(func(d arrived) bool { return !d.drop }); label != "" {
			d := arrived{h.there[label].text, 1 + int64(h.random.IntN(4)), false}
			if h.random.IntN(3) > 0 {
				d.text = h.anyText()
			}
			h.receive("replace", label, d)
		}
	case 4, 5:
		if label := h.anyLabel(func(arrived) bool { return true }); label != "" {
			h.forget(label)
		}
	case 6:
		if len(h.there) > 0 {
			h.build(h.anyOptions())
		}
	case 7:
		if len(h.there) > 0 {
			h.build(h.anyOptions())
			h.publish()
		}
	}
}

// resumed does something that is killed at a random statement now and then, again and again until it gets through. over says
// whether an error means that it got through before.
func (h *history) resumed(what string, over func(error) bool, do func(ctx context.Context) error) {
	h.Helper()
	h.done = append(h.done, what)
	pause := int64(-1)
	if h.random.IntN(3) == 0 {
		pause = 1 + int64(h.random.IntN(60))
	}
	for kills := 0; ; kills++ {
		ctx, cancel := context.WithCancel(h.Context())
		h.observer.cancel.Store(&cancel)
		h.observer.after.Store(h.observer.statements.Load() + pause) // never for a pause below 0
		err := do(ctx)
		killed := ctx.Err() != nil
		cancel()
		h.observer.after.Store(0)
		if err == nil || kills > 0 && over(err) {
			return
		}
		if !killed || kills > 60 {
			h.Fatalf("%v, after %d kills: %v", h.done, kills, err)
		}
		pause += pause/2 + 5
	}
}

func never(error) bool { return false }

// train does something as the trainer.
func (h *history) train(ctx context.Context, do func(ctx context.Context, trainer *store.Trainer) error) error {
	return h.store.Train(ctx, tenant, h.name, "test", do)
}

func (h *history) arrive() {
	h.arrivals++
	h.receive("add", fmt.Sprint("text ", h.arrivals), arrived{h.anyText(), 1 + int64(h.random.IntN(4)), h.random.IntN(4) == 0})
}

func (h *history) receive(what, label string, d arrived) {
	h.Helper()
	build := h.random.IntN(2) == 0
	h.resumed(what, never, func(ctx context.Context) error {
		return h.train(ctx, func(ctx context.Context, trainer *store.Trainer) error {
			source := store.Source{Label: label, Weight: d.weight, Text: strings.NewReader(d.text), DropText: d.drop, Replace: what == "replace"}
			if _, _, err := trainer.Receive(ctx, source); err != nil {
				return err
			}
			if _, err := trainer.Count(ctx, nil); err != nil || !build {
				return err
			}
			made, err := trainer.Build(ctx, h.options, nil)
			if err == nil {
				h.builds = append(h.builds, made.ID)
			}
			return err
		})
	})
	h.there[label] = d
}

func (h *history) forget(label string) {
	h.Helper()
	d := h.there[label]
	h.resumed("forget", func(err error) bool { return errors.ReasonOf(err) == "DOCUMENT_NOT_FOUND" }, func(ctx context.Context) error {
		f := store.Forgetting{Label: label}
		if d.drop {
			f.Text = strings.NewReader(d.text)
		}
		return h.train(ctx, func(ctx context.Context, trainer *store.Trainer) error {
			_, err := trainer.Forget(ctx, f, nil)
			return err
		})
	})
	delete(h.there, label)
	h.kept()
}

// kept brings up to date which builds there are.
func (h *history) kept() {
	h.Helper()
	builds, err := h.store.Builds(h.Context(), tenant, h.name, math.MaxUint32, 100, false)
	if err != nil {
		h.Fatal(err)
	}
	h.builds, h.serves = nil, 0
	for _, b := range builds {
		if h.builds = append(h.builds, b.ID); b.Published {
			h.serves = b.ID
		}
	}
}

func (h *history) build(options ngram.BuildOptions) (build ngram.Build) {
	h.Helper()
	h.resumed(fmt.Sprintf("build %s %s %+v", options.Storage, options.Smoothing, options.Pruning), never, func(ctx context.Context) error {
		return h.train(ctx, func(ctx context.Context, trainer *store.Trainer) (err error) {
			build, err = trainer.Build(ctx, options, nil)
			return err
		})
	})
	h.kept()
	return build
}

// publish publishes a build and drops another.
func (h *history) publish() {
	h.Helper()
	h.resumed("publish", never, func(ctx context.Context) error {
		_, _, err := h.store.Publish(ctx, tenant, h.name, h.builds[0])
		return err
	})
	if h.kept(); len(h.builds) < 2 {
		return
	}
	victim := h.builds[1+h.random.IntN(len(h.builds)-1)]
	h.resumed("drop", never, func(ctx context.Context) error {
		return h.train(ctx, func(ctx context.Context, trainer *store.Trainer) error {
			_, err := trainer.Drop(ctx, victim)
			return err
		})
	})
}

// finish compares the model with one that has no history.
func (h *history) finish() {
	h.Helper()
	if len(h.there) == 0 {
		h.arrive()
	}
	grown := h.build(h.options)
	fresh := "never-" + h.name
	h.create(fresh)
	s := store.New(h.db, store.Options{})
	labels := slices.Collect(maps.Keys(h.there)) // in any order
	var documents []weighted
	for _, label := range labels {
		documents = append(documents, weighted{label, h.there[label].text, h.there[label].weight})
	}
	want := words(read(h.T, h.db, fresh, add(h.T, s, fresh, h.options, documents...).ID))
	if diff := cmp.Diff(want, words(read(h.T, h.db, h.name, grown.ID))); diff != "" {
		h.Fatalf("%v, %+v, %+v: it differs from a model without a history:\n%.4000s", h.done, h.settings, h.options, diff)
	}
	checkTotals(h.T, s, fresh, h.name)
	checkNothingLeft(h.T, h.db, h.name)
	h.again(grown)
	if _, _, err := s.Publish(h.Context(), tenant, h.name, grown.ID); err != nil {
		h.Fatal(err)
	}
	if h.random.IntN(3) == 0 {
		copied, err := h.store.CopyTo(h.Context(), s, tenant, h.name, "copy-of-"+h.name, nil)
		if err != nil {
			h.Fatal(err)
		}
		if diff := cmp.Diff(want, words(read(h.T, h.db, copied.Name, copied.Published))); diff != "" {
			h.Fatalf("%v: its copy differs:\n%.4000s", h.done, diff)
		}
	}
	h.paths()
}

// again derives the build from the same counts, read from their rows or packed: nothing is written.
func (h *history) again(build ngram.Build) {
	h.Helper()
	ways := []string{"segments", "rows"}[:h.random.IntN(3)]
	for _, from := range ways {
		if from == "rows" {
			if _, err := h.db.Exec(h.Context(), `DELETE FROM tbl_l1_count_segments WHERE model_id = ?`, int64(build.Model)); err != nil {
				h.Fatal(err)
			}
		}
		if again := h.build(h.options); again.RowsAdded != 0 || again.RowsClosed != 0 {
			h.Fatalf("%v: a build from the same counts, read from %s, wrote %d rows and closed %d", h.done, from, again.RowsAdded, again.RowsClosed)
		}
	}
}

// paths compares every path to the build that serves.
func (h *history) paths() {
	h.Helper()
	var want []scoring.Record
	for i, options := range []store.ReaderOptions{{CacheBytes: -1}, {}, {ResidentBytes: 1 << 20}} {
		reader := store.NewReader(h.db, options)
		defer reader.Close()
		if ready, err := reader.Prepare(h.Context(), tenant, h.name); err != nil || ready != (i == 2) {
			h.Fatalf("resident: %v, error %v", ready, err)
		}
		view, err := reader.Open(h.Context(), tenant, h.name, 0)
		if err != nil {
			h.Fatal(err)
		}
		got := recordsOf(h.T, view, sentences(uint64(i/5), 12))
		if i == 0 {
			want = got
		} else if !slices.Equal(got, want) {
			h.Fatalf("%v: path %d scores otherwise than the rows", h.done, i)
		}
		if i == 2 {
			h.mass(view)
		}
	}
}

// mass sums the probabilities of all tokens after some contexts. Rounding to codes moves a sum a little.
func (h *history) mass(view *store.View) {
	h.Helper()
	within := map[ngram.Storage]float64{ngram.StorageExact: 1e-9, ngram.Storage16: 1e-3, ngram.Storage8: 0.1}[h.options.Storage]
	distribution := decoding.NewDistribution(view.Unigrams)
	for range 8 {
		var context []uint32
		for range h.settings.Order - 1 {
			context = append(context, uint32(h.random.IntN(view.Unigrams.Bound())))
		}
		chains, err := view.Read(h.Context(), [][]uint32{context})
		if err != nil {
			h.Fatal(err)
		}
		distribution.Base(chains[0])
		if mass := distribution.Total(); math.Abs(mass-1) > within {
			h.Errorf("%v: the mass after %d is %g, storage %s", h.done, context, mass, h.options.Storage)
		}
	}
}

package store

import (
	"context"
	"log/slog"
	"sync"

	"github.com/maypok86/otter/v2"
	"github.com/maypok86/otter/v2/stats"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/copies"
	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/resident"
)

// Reader answers questions about builds from the derived tables; it writes nothing but the use of contexts. What it
// has read stays in memory within a bound. A build never changes, so nothing in memory ever goes stale.
//
//	Open ─▶ View ─┬─ Vocabulary, Unigrams      resident, shared by all views of a build
//	              └─ Chains, Read, Score ─┬─▶ table of the build, where it is resident
//	                                      └─▶ cache ─▶ one SELECT for all contexts that are missing
type Reader struct {
	db        *database.DB
	contexts  *otter.Cache[contextKey, *lookup.Context]
	builds    *otter.Cache[ngram.BuildID, *loadedBuild]
	copies    *otter.Cache[ngram.BuildID, *copies.Index]
	residents *residents
	counter   *stats.Counter // of the cache of contexts
	uses      uses
	flushing  sync.Mutex
}

// ReaderOptions bound what a Reader keeps. The zero value takes the defaults.
type ReaderOptions struct {
	// CacheBytes bounds the memory of cached contexts. Default 96 MiB; negative caches nothing.
	CacheBytes int64
	// BuildBytes bounds the memory of resident vocabularies and unigrams; the build in use stays in any case while it
	// is used. Default 256 MiB.
	BuildBytes int64
	// ResidentBytes bounds the memory of resident builds, all together; a build that does not fit is served from its rows.
	// Not above 0: none is made resident.
	ResidentBytes int64
	// ResidentDir is a directory of this store alone for the files of resident builds; it is made when needed. Empty: they
	// are kept in memory and made anew by every process.
	ResidentDir string
	// Logger receives what nobody waits for: builds made resident, local files that are damaged. nil: discarded.
	Logger *slog.Logger
}

const (
	defaultCacheBytes = 96 << 20
	defaultBuildBytes = 256 << 20
)

// NewReader returns a reader of the store. Without resident builds it starts no goroutine that outlives a call; with them,
// Close ends its work.
func NewReader(db *database.DB, options ReaderOptions) *Reader {
	if options.CacheBytes == 0 {
		options.CacheBytes = defaultCacheBytes
	}
	if options.BuildBytes == 0 {
		options.BuildBytes = defaultBuildBytes
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Reader{db: db, copies: newCopiesCache(), counter: stats.NewCounter(), residents: &residents{
		dir: options.ResidentDir, budget: options.ResidentBytes, log: options.Logger, sizes: map[ngram.BuildID]int64{},
	}}
	r.residents.lifetime, r.residents.stop = context.WithCancel(context.Background())
	if options.CacheBytes > 0 {
		r.contexts = otter.Must(&otter.Options[contextKey, *lookup.Context]{
			MaximumWeight: uint64(options.CacheBytes),
			StatsRecorder: r.counter,
			Weigher:       func(_ contextKey, c *lookup.Context) uint32 { return uint32(c.Size() + entryBytes) },
		})
	}
	r.builds = otter.Must(&otter.Options[ngram.BuildID, *loadedBuild]{
		MaximumWeight: uint64(options.BuildBytes),
		Weigher:       func(_ ngram.BuildID, b *loadedBuild) uint32 { return uint32(min(b.size(), 1<<31)) },
	})
	return r
}

// CacheStats tells how the cache of contexts is used. Resident builds do not use it.
type CacheStats struct {
	Entries              int
	Bytes, Maximum       uint64
	Hits, Misses, Evicts uint64 // since the Reader was made
	Resident             int    // builds
	ResidentBytes        int64
}

// CacheStats returns the present state; without a cache only what is resident.
func (r *Reader) CacheStats() CacheStats {
	builds, bytes := r.residents.total()
	if r.contexts == nil {
		return CacheStats{Resident: builds, ResidentBytes: bytes}
	}
	counted := r.counter.Snapshot()
	return CacheStats{
		Entries: r.contexts.EstimatedSize(), Bytes: r.contexts.WeightedSize(), Maximum: r.contexts.GetMaximum(),
		Hits: counted.Hits, Misses: counted.Misses, Evicts: counted.Evictions, Resident: builds, ResidentBytes: bytes,
	}
}

// entryBytes is about what the cache itself spends on an entry.
const entryBytes = 112

// Forget drops everything that is in memory; for measurements.
func (r *Reader) Forget() {
	if r.contexts != nil {
		r.contexts.InvalidateAll()
	}
	r.builds.InvalidateAll()
	r.copies.InvalidateAll()
}

// View is one build, opened for a request. It is safe for concurrent use.
type View struct {
	*loadedBuild
	reader  *Reader
	table   *resident.Table // nil: the build is not resident
	serving bool            // it was opened as the build that serves
}

// Resident reports whether the view reads no rows of contexts.
func (v *View) Resident() bool { return v.table != nil }

// loadedBuild is what is resident of a build.
type loadedBuild struct {
	// Build identifies the build; only what reading needs is filled in.
	Build ngram.Build
	// Settings of the generation that the build was derived from.
	Settings ngram.Settings
	// Vocabulary holds the tokens below the build's bound.
	Vocabulary *lookup.Vocabulary
	// Unigrams of the build.
	Unigrams *lookup.Unigrams

	forms    map[string]string
	unigrams lookup.Book // of the empty context
	logprobs lookup.Book // of all others
	backoffs lookup.Book

	residence residence
}

// Open returns the build of a model that serves, or with id not 0 that very build, if it is complete. An unknown model
// or build is NotFound, a model without a published build FailedPrecondition.
func (r *Reader) Open(ctx context.Context, tenant, model string, id ngram.BuildID) (*View, error) {
	build, settings, err := r.resolve(ctx, tenant, model, id)
	if err != nil {
		return nil, err
	}
	load := otter.LoaderFunc[ngram.BuildID, *loadedBuild](func(ctx context.Context, _ ngram.BuildID) (*loadedBuild, error) {
		return r.load(ctx, build, settings)
	})
	loaded, err := r.builds.Get(ctx, build.ID, load)
	if err != nil {
		return nil, err
	}
	r.local(ctx, loaded)
	return &View{loadedBuild: loaded, reader: r, table: loaded.residence.table.Load(), serving: id == 0}, nil
}

// Token returns the id of a token of text, lookup.Unknown if the build does not know it.
func (b *loadedBuild) Token(token []byte) uint32 {
	if id, known := b.Vocabulary.ID(token); known {
		if _, event := b.Unigrams.Log10(id); event {
			return id
		}
	}
	return lookup.Unknown
}

// Form is how the token is written away from the start of a sentence; "" when that is how it is spelled.
func (b *loadedBuild) Form(token string) string { return b.forms[token] }

func (b *loadedBuild) size() int {
	size := b.Vocabulary.Size() + b.Unigrams.Size() + 16*(len(b.unigrams.Log10)+len(b.logprobs.Log10)+len(b.backoffs.Log10))
	for token, form := range b.forms {
		size += len(token) + len(form) + 64
	}
	return size
}

const selectServing = `SELECT b.build_id, b.model_id, b.state, b.storage, b.max_order, b.vocabulary_end, b.unigram_codebook, b.logprob_codebook, b.backoff_codebook,
  m.tokenizer, m.tokenizer_parameters, m.normalization, m.unk_policy, b.created_at
FROM tbl_l1_model_names n
LEFT JOIN tbl_l1_builds b ON b.build_id = n.published_build
LEFT JOIN tbl_l1_models m ON m.model_id = b.model_id
WHERE n.tenant = ? AND n.name = ?`

const selectKept = `SELECT b.build_id, b.model_id, b.state, b.storage, b.max_order, b.vocabulary_end, b.unigram_codebook, b.logprob_codebook, b.backoff_codebook,
  m.tokenizer, m.tokenizer_parameters, m.normalization, m.unk_policy, b.created_at
FROM tbl_l1_model_names n
LEFT JOIN tbl_l1_builds b ON b.tenant = n.tenant AND b.name = n.name AND b.build_id = ?
LEFT JOIN tbl_l1_models m ON m.model_id = b.model_id
WHERE n.tenant = ? AND n.name = ?`

// resolve reads which build a request means.
func (r *Reader) resolve(ctx context.Context, tenant, model string, id ngram.BuildID) (ngram.Build, ngram.Settings, error) {
	query, args := selectServing, []any{tenant, model}
	if id != 0 {
		query, args = selectKept, []any{int64(id), tenant, model}
	}
	var row struct {
		build, modelID, order, end, unigrams, logprobs, backoffs, at *int64
		state, storage, tokenizer, parameters, normalization, policy *string
	}
	err := r.db.QueryRow(ctx, query, args...).Scan(&row.build, &row.modelID, &row.state, &row.storage, &row.order, &row.end,
		&row.unigrams, &row.logprobs, &row.backoffs, &row.tokenizer, &row.parameters, &row.normalization, &row.policy, &row.at)
	switch {
	case errors.Is(err, database.ErrNoRows) || err == nil && (padded(tenant) || padded(model)): // MySQL takes "m " for "m"
		return ngram.Build{}, ngram.Settings{}, errors.New(errors.NotFound, "MODEL_NOT_FOUND",
			"there is no model %q; train it, or list the models to see their names", model).With("model", model)
	case err != nil:
		return ngram.Build{}, ngram.Settings{}, err
	case row.build == nil && id == 0:
		return ngram.Build{}, ngram.Settings{}, errors.New(errors.FailedPrecondition, "NO_PUBLISHED_BUILD",
			"model %q has no published build; build and publish it", model).With("model", model)
	case row.build == nil:
		return ngram.Build{}, ngram.Settings{}, errors.New(errors.NotFound, "BUILD_NOT_FOUND",
			"model %q has no build %d; list its builds to see which are kept", model, id).With("model", model)
	}
	build := ngram.Build{
		ID: ngram.BuildID(*row.build), Model: ngram.ModelID(deref(row.modelID)), Tenant: tenant, Name: model,
		State: ngram.BuildState(deref(row.state)), Order: int(deref(row.order)), Storage: ngram.Storage(deref(row.storage)),
		VocabularyEnd: uint32(deref(row.end)), UnigramCodebook: deref(row.unigrams), LogprobCodebook: deref(row.logprobs), BackoffCodebook: deref(row.backoffs),
		Created: toTime(deref(row.at)),
	}
	if err := readable(build); err != nil {
		return ngram.Build{}, ngram.Settings{}, err
	}
	return build, ngram.Settings{
		Order: build.Order, Tokenizer: ngram.Tokenizer(deref(row.tokenizer)), TokenizerParameters: deref(row.parameters),
		Normalization: ngram.Normalization(deref(row.normalization)), UnkPolicy: ngram.UnkPolicy(deref(row.policy)),
	}, nil
}

func readable(build ngram.Build) error {
	switch build.State {
	case ngram.BuildReady:
		return nil
	case ngram.BuildDropped:
		return errors.New(errors.FailedPrecondition, "BUILD_DROPPED",
			"build %d of model %q was dropped; use build 0 for the one that serves", build.ID, build.Name)
	}
	return errors.New(errors.FailedPrecondition, "BUILD_NOT_READY",
		"build %d of model %q is %s; use build 0 for the one that serves", build.ID, build.Name, build.State)
}

const selectState = `SELECT state FROM tbl_l1_builds WHERE build_id = ?`

// Verify returns an error when the build was dropped since the view was opened. Rows of a build are deleted only after
// its state has changed, so what was read before a successful Verify was complete.
func (v *View) Verify(ctx context.Context) error { return v.reader.verify(ctx, v.Build) }

func (r *Reader) verify(ctx context.Context, build ngram.Build) error {
	var state string
	if err := r.db.QueryRow(ctx, selectState, int64(build.ID)).Scan(&state); err != nil {
		if errors.Is(err, database.ErrNoRows) {
			state = string(ngram.BuildDropped)
		} else {
			return err
		}
	}
	if state != string(ngram.BuildReady) {
		return errors.New(errors.Aborted, "BUILD_DROPPED",
			"build %d of model %q was dropped while it was read; repeat the call", build.ID, build.Name)
	}
	return nil
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

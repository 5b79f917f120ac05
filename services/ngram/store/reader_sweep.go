package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"dbslm/pkg/database"
	"dbslm/services/ngram"
	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/resident"
)

// Served is a build that serves, and its model.
type Served struct {
	Tenant, Model string
	Build         ngram.BuildID
}

const selectAllServing = `SELECT b.build_id, b.model_id, b.tenant, b.name, b.storage, b.max_order, b.vocabulary_end, COALESCE(b.unigram_codebook, 0),
  COALESCE(b.logprob_codebook, 0), COALESCE(b.backoff_codebook, 0), b.created_at
FROM tbl_l1_model_names n JOIN tbl_l1_builds b ON b.build_id = n.published_build AND b.state = 'ready'
ORDER BY b.tenant, b.name`

// serving lists the builds that serve, with what their identities need.
func (r *Reader) serving(ctx context.Context) ([]ngram.Build, error) {
	var builds []ngram.Build
	err := r.db.Stream(ctx, selectAllServing, nil, func(row database.Row) error {
		builds = append(builds, ngram.Build{
			ID: ngram.BuildID(row.Int(0)), Model: ngram.ModelID(row.Int(1)), Tenant: string(row.Bytes(2)), Name: string(row.Bytes(3)),
			Storage: ngram.Storage(row.Bytes(4)), Order: int(row.Int(5)), VocabularyEnd: uint32(row.Int(6)),
			UnigramCodebook: row.Int(7), LogprobCodebook: row.Int(8), BackoffCodebook: row.Int(9), Created: toTime(row.Int(10)),
		})
		return nil
	})
	return builds, err
}

// Serving lists the builds that serve, by tenant and model.
func (r *Reader) Serving(ctx context.Context) ([]Served, error) {
	builds, err := r.serving(ctx)
	served := make([]Served, len(builds))
	for i, b := range builds {
		served[i] = Served{b.Tenant, b.Name, b.ID}
	}
	return served, err
}

// Sweep removes the local files of builds that do not serve any more, and forgets what is in memory of builds that were
// dropped. Calls in progress finish on what they have; once they have, its memory and disk space are given back. It returns
// the paths that it removed, and an error when one of them could not be.
func (r *Reader) Sweep(ctx context.Context) (removed []string, err error) {
	// First the files: one that another process makes now, for a build that is published now, is not in the list.
	names, err := r.files()
	if err != nil {
		return nil, err
	}
	builds, err := r.serving(ctx)
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	kept := map[ngram.BuildID]bool{}
	for _, b := range builds {
		wanted[fileName(b)] = true
		kept[b.ID] = true
	}
	var failed []error
	for _, name := range names {
		file, _, writing := strings.Cut(strings.TrimPrefix(name, "."), writingMark)
		path := filepath.Join(r.residents.dir, name)
		if wanted[file] && (!writing || !resident.Left(path)) {
			continue
		}
		switch err := os.Remove(path); {
		case err == nil:
			removed = append(removed, path)
		case !errors.Is(err, os.ErrNotExist): // another process was faster
			failed = append(failed, err)
		}
	}
	if err := r.forget(ctx, kept); err != nil {
		failed = append(failed, err)
	}
	return removed, errors.Join(failed...)
}

// files lists the names of the files of resident builds, whole and in the making.
func (r *Reader) files() ([]string, error) {
	if r.residents.dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(r.residents.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		if name := strings.TrimPrefix(entry.Name(), "."); strings.HasPrefix(name, "build-") && strings.Contains(name, fileEnd) {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// Files lists the local files of builds, which Sweep would remove once they do not serve.
func (r *Reader) Files(builds ...ngram.BuildID) ([]string, error) {
	names, err := r.files()
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, name := range names {
		for _, id := range builds {
			if strings.HasPrefix(strings.TrimPrefix(name, "."), filePrefix(id)) {
				paths = append(paths, filepath.Join(r.residents.dir, name))
			}
		}
	}
	slices.Sort(paths)
	return paths, nil
}

const selectStates = `SELECT build_id FROM tbl_l1_builds WHERE state = 'ready' AND build_id IN `

// forget drops from memory the tables of builds that do not serve, and everything of builds that are not kept.
func (r *Reader) forget(ctx context.Context, serving map[ngram.BuildID]bool) error {
	loaded := slices.Collect(r.builds.Keys())
	indexed := slices.Collect(r.copies.Keys())
	for _, id := range r.residents.open() {
		if serving[id] && slices.Contains(loaded, id) {
			continue
		}
		if b, ok := r.builds.GetIfPresent(id); ok {
			b.residence.table.Store(nil)
			b.residence.rented.Store(0)
			b.residence.begun.Store(false)
		}
		r.residents.release(id)
		defer runtime.GC() // a file is unmapped once nothing refers to it
	}
	known := slices.Concat(loaded, indexed)
	if len(known) == 0 {
		return nil
	}
	args := make([]any, len(known))
	for i, id := range known {
		args[i] = int64(id)
	}
	ready := map[ngram.BuildID]bool{}
	err := r.db.Stream(ctx, selectStates+database.In(len(args)), args, func(row database.Row) error {
		ready[ngram.BuildID(row.Int(0))] = true
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range known {
		if ready[id] {
			continue
		}
		r.copies.Invalidate(id)
		r.builds.Invalidate(id)
		if r.contexts == nil {
			continue
		}
		for key := range r.contexts.Keys() {
			if key.build == id {
				r.contexts.Invalidate(key)
			}
		}
	}
	return nil
}

const selectHottest = `SELECT n, context_hash FROM tbl_l1_context_hotness WHERE model_id = ? ORDER BY hotness DESC, n, context_hash LIMIT ?`

// warmContexts bounds the contexts that are read before they are asked for.
const warmContexts = 20_000

// Warm reads the contexts of a model that were used most lately into the cache, until it is half full.
func (r *Reader) Warm(ctx context.Context, tenant, model string) error {
	view, err := r.Open(ctx, tenant, model, 0)
	if err != nil || view.table != nil || r.contexts == nil {
		return err
	}
	var keys []contextKey
	err = r.db.Stream(ctx, selectHottest, []any{int64(view.Build.Model), warmContexts}, func(row database.Row) error {
		keys = append(keys, contextKey{view.Build.ID, uint8(row.Int(0)), row.Int(1)})
		return nil
	})
	if err != nil {
		return err
	}
	for part := range slices.Chunk(keys, maxKeys) {
		if r.contexts.WeightedSize() > r.contexts.GetMaximum()/2 {
			return nil
		}
		var rows rowReader
		if err := rows.read(ctx, r.db, view.loadedBuild, part); err != nil {
			return err
		}
		for _, key := range part {
			context, err := rows.kept(view.loadedBuild, key)
			if err != nil {
				return err
			}
			r.keep(key, context)
		}
	}
	return nil
}

// keep puts a context into the cache; nil is one that the build does not have.
func (r *Reader) keep(key contextKey, context *lookup.Context) {
	if context != nil && context.Many() {
		context.Index()
	}
	r.contexts.Set(key, context)
}

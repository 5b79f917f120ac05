package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/resident"
)

// residents makes builds resident: their tables (package resident) are files in a directory, made from the rows when first
// needed and mapped from then on, or memory where there is no directory.
//
//	rows of the build ─▶ resident.Writer ─▶ file ─▶ mapped by every process that serves the build
//
// A build that is not resident yet is read through the cache, which answers the same. It is made resident when somebody
// waits for it (Prepare), or in the background once reading its rows one by one has cost as much as reading all at once.
type residents struct {
	dir    string // "": in memory
	budget int64  // bytes of all tables together; not above 0: none
	log    *slog.Logger

	lifetime context.Context //nolint:containedctx // the lifetime of the background work, ended by Close
	stop     context.CancelFunc
	working  sync.WaitGroup
	one      sync.Mutex // held while a table is made: one at a time is enough

	mu     sync.Mutex
	closed bool
	sizes  map[ngram.BuildID]int64 // of open tables
}

// residence is what a loaded build knows of its table.
type residence struct {
	table  atomic.Pointer[resident.Table]
	tried  sync.Once    // the local file was looked for
	begun  atomic.Bool  // somebody makes the table, or found that it does not fit
	rented atomic.Int64 // statements that read contexts
	ngrams []int64      // of the build, by order
}

// statementsPerContext is how many contexts are streamed for what one statement that reads a few costs.
const statementsPerContext = 50

// ErrTooLarge is returned where a build does not fit the budget of resident builds.
var errTooLarge = errors.New(errors.ResourceExhausted, "RESIDENT_BUDGET", "the build does not fit the memory budget for resident builds")

// identity names the content of a build: a build of another store, or of a store that was restored and trained again, has
// another one even with the same id.
func identity(b ngram.Build) string {
	sum := xxhash.New()
	for _, v := range []int64{
		int64(b.ID), int64(b.Model), b.Created.UnixMicro(), int64(b.VocabularyEnd), int64(b.Order), b.UnigramCodebook, b.LogprobCodebook, b.BackoffCodebook,
	} {
		_, _ = sum.Write(binary.LittleEndian.AppendUint64(nil, uint64(v)))
	}
	_, _ = sum.WriteString(b.Tenant + "\x00" + b.Name + "\x00" + string(b.Storage))
	return fmt.Sprintf("%016x", sum.Sum64())
}

const (
	fileEnd     = ".resident"
	writingMark = resident.TempMark
)

func filePrefix(id ngram.BuildID) string { return fmt.Sprintf("build-%d-", id) }

func fileName(b ngram.Build) string { return filePrefix(b.ID) + identity(b) + fileEnd }

// expected is about how many bytes the table of a build takes.
func (b *loadedBuild) expected() int64 {
	each := map[ngram.Storage]int64{ngram.Storage8: 10, ngram.Storage16: 12, ngram.StorageExact: 22}[b.Build.Storage]
	total := int64(0)
	for _, n := range b.residence.ngrams[min(1, len(b.residence.ngrams)):] {
		total += n * each
	}
	return total
}

// reserve takes a share of the budget for a build.
func (r *residents) reserve(id ngram.BuildID, bytes int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	used := bytes
	for other, size := range r.sizes {
		if other != id {
			used += size
		}
	}
	if used > r.budget {
		return false
	}
	r.sizes[id] = bytes
	return true
}

// open lists the builds with an open table.
func (r *residents) open() []ngram.BuildID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.sizes))
}

// total is the number of open tables and their bytes.
func (r *residents) total() (builds int, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, size := range r.sizes {
		bytes += size
	}
	return len(r.sizes), bytes
}

func (r *residents) release(id ngram.BuildID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sizes, id)
}

// local opens the file of a build, if there is one.
func (r *Reader) local(ctx context.Context, b *loadedBuild) {
	if r.residents.budget <= 0 || r.residents.dir == "" {
		return
	}
	b.residence.tried.Do(func() {
		path := filepath.Join(r.residents.dir, fileName(b.Build))
		switch err := r.open(b, path); {
		case err == nil, errors.Is(err, os.ErrNotExist):
		case errors.Is(err, errTooLarge):
			r.residents.log.InfoContext(ctx, "a model is served from its tables: it does not fit the budget for resident builds",
				"model", b.Build.Name, "budget_bytes", r.residents.budget)
		default:
			r.residents.log.WarnContext(ctx, "a local file of a model cannot be used and will be made again", "file", path, "error", err)
			_ = os.Remove(path)
		}
	})
}

// open maps the file of a build and checks it.
func (r *Reader) open(b *loadedBuild, path string) error {
	mapping, err := resident.Map(path)
	if err != nil {
		return err
	}
	if !r.residents.reserve(b.Build.ID, int64(len(mapping.Bytes()))) {
		return errTooLarge
	}
	table, err := resident.Open(mapping.Bytes(), identity(b.Build), &b.logprobs, &b.backoffs, mapping)
	if err != nil {
		r.residents.release(b.Build.ID)
		return err
	}
	b.residence.table.Store(table)
	return nil
}

// rent counts a statement that read contexts of a build which is not resident, and makes it resident in the background once
// that has cost enough.
func (r *Reader) rent(b *loadedBuild) {
	residents := r.residents
	if residents.budget <= 0 || b.residence.begun.Load() {
		return
	}
	total := int64(0)
	for _, n := range b.residence.ngrams {
		total += n
	}
	if b.residence.rented.Add(1)*statementsPerContext < total || !b.residence.begun.CompareAndSwap(false, true) {
		return
	}
	residents.mu.Lock()
	defer residents.mu.Unlock()
	if residents.closed {
		return
	}
	residents.working.Go(func() {
		if err := r.make(residents.lifetime, b); err != nil && residents.lifetime.Err() == nil {
			b.residence.rented.Store(0)
			b.residence.begun.Store(errors.Is(err, errTooLarge)) // else it may be tried again
			residents.log.WarnContext(residents.lifetime, "a model could not be made resident; it is served from its tables", "model", b.Build.Name, "error", err)
		}
	})
}

// make makes a build resident, unless it is.
func (r *Reader) make(ctx context.Context, b *loadedBuild) error {
	residents := r.residents
	residents.one.Lock()
	defer residents.one.Unlock()
	if b.residence.table.Load() != nil {
		return nil
	}
	if !residents.reserve(b.Build.ID, b.expected()) {
		return errTooLarge
	}
	start := time.Now()
	err := r.fill(ctx, b)
	if err != nil {
		residents.release(b.Build.ID)
		return err
	}
	table := b.residence.table.Load()
	residents.log.InfoContext(ctx, "a model is resident", "model", b.Build.Name, "build", uint32(b.Build.ID), "contexts", table.Contexts(),
		"bytes", table.Size(), "seconds", time.Since(start).Seconds())
	return nil
}

// fill writes the table to its file and maps it, or keeps it in memory where there is no directory or it cannot be written.
func (r *Reader) fill(ctx context.Context, b *loadedBuild) error {
	if dir := r.residents.dir; dir != "" {
		path := filepath.Join(dir, fileName(b.Build))
		if r.open(b, path) == nil { // another process made it
			return nil
		}
		err := resident.WriteFile(path, func(out io.Writer) error { return r.write(ctx, b, out) })
		if err == nil {
			// What was dropped while it was written, and swept, must not come back.
			if err = r.verify(ctx, b.Build); err != nil {
				_ = os.Remove(path)
				return err
			}
			return r.open(b, path)
		}
		var disk *os.PathError
		if ctx.Err() != nil || !errors.As(err, &disk) {
			return err
		}
		r.residents.log.WarnContext(ctx, "the local file of a model cannot be written; it is kept in memory instead", "file", path, "error", err)
	}
	var memory buffer
	if err := r.write(ctx, b, &memory); err != nil {
		return err
	}
	if !r.residents.reserve(b.Build.ID, int64(len(memory))) {
		return errTooLarge
	}
	table, err := resident.Open(memory, identity(b.Build), &b.logprobs, &b.backoffs, nil)
	if err != nil {
		return err
	}
	b.residence.table.Store(table)
	return nil
}

// buffer is a table in memory.
type buffer []byte

// Write implements io.Writer.
func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

const selectResident = `SELECT context_hash, chunk, q_backoff, backoff, packed FROM tbl_l1_ng_topk_n
WHERE model_id = ? AND n = ? AND context_hash BETWEEN ? AND ? AND since_build <= ? AND (until_build IS NULL OR until_build > ?) ORDER BY context_hash, chunk`

// residentRows is about how many contexts one statement reads.
const residentRows = 100_000

// write streams the packed rows of a build into a table.
func (r *Reader) write(ctx context.Context, b *loadedBuild, out io.Writer) error {
	w := resident.NewWriter(out, b.logprobs.Width, identity(b.Build))
	for n := 2; n <= b.Build.Order; n++ {
		contexts := int64(0)
		if n-2 < len(b.residence.ngrams) {
			contexts = b.residence.ngrams[n-2] // every context is an n-gram of the order below
		}
		if err := w.Order(n, contexts); err != nil {
			return err
		}
		for from, to := range hashRanges(contexts/residentRows + 1) {
			if err := r.writeRange(ctx, b, w, uint8(n), from, to); err != nil {
				return err
			}
			if w.Written() > r.residents.budget {
				return errTooLarge
			}
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return r.verify(ctx, b.Build)
}

func (r *Reader) writeRange(ctx context.Context, b *loadedBuild, w *resident.Writer, n uint8, from, to int64) error {
	return r.eachContext(ctx, b, n, from, to, func(hash int64, weight lookup.Weight, blob []byte) error {
		return w.Add(hash, weight, blob)
	})
}

// eachContext reads the contexts of a build with hashes of a range, both ends included, in ascending order. The followers
// are valid until f returns.
func (r *Reader) eachContext(ctx context.Context, b *loadedBuild, n uint8, from, to int64, f func(hash int64, weight lookup.Weight, blob []byte) error) error {
	var rows rowsOfContext
	var hash int64
	end := func() error {
		if len(rows.chunks) == 0 {
			return nil
		}
		blob, err := rows.followers(b, n, hash)
		if err != nil {
			return err
		}
		err = f(hash, rows.weight, blob)
		rows = rowsOfContext{chunks: rows.chunks[:0], spare: rows.spare[:0]}
		return err
	}
	args := []any{int64(b.Build.Model), int64(n), from, to, int64(b.Build.ID), int64(b.Build.ID)}
	err := r.db.Stream(ctx, selectResident, args, func(row database.Row) error {
		if next := row.Int(0); next != hash {
			if err := end(); err != nil {
				return err
			}
			hash = next
		}
		return rows.add(b, n, row, 1)
	})
	if err != nil {
		return err
	}
	return end()
}

// Prepare makes the build that a model serves resident, if it fits the budget, and says whether it is.
func (r *Reader) Prepare(ctx context.Context, tenant, model string) (bool, error) {
	view, err := r.Open(ctx, tenant, model, 0)
	if err != nil {
		return false, err
	}
	if r.residents.budget <= 0 {
		return false, nil
	}
	if view.table == nil {
		view.residence.begun.Store(true)
		if err := r.make(ctx, view.loadedBuild); err != nil {
			if errors.Is(err, errTooLarge) {
				return false, nil
			}
			view.residence.begun.Store(false)
			return false, err
		}
	}
	return view.residence.table.Load() != nil, nil
}

// Close ends the background work. Views stay usable.
func (r *Reader) Close() {
	r.residents.mu.Lock()
	r.residents.closed = true
	r.residents.mu.Unlock()
	r.residents.stop()
	r.residents.working.Wait()
}

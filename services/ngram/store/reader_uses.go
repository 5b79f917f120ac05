package store

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"dbslm/pkg/database"
	"dbslm/services/ngram"
)

// The use of a context decays with a half-life of a week. What is stored is the use at a fixed day, before which one
// use counts less and after which it counts more: so rows of different age compare as they are, and a flush adds
// without reading. Doubles hold it for more than a century.
var usesEpoch = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

const (
	usesHalfLife = 7 * 24 * time.Hour
	// maxUses bounds the contexts whose use is remembered between two flushes; further ones are not counted.
	maxUses = 1 << 16
	// flushBatch is the number of rows of one transaction.
	flushBatch = 500
)

type useKey struct {
	model ngram.ModelID
	n     uint8
	hash  int64
}

// uses counts the use of contexts in memory until they are flushed.
type uses struct {
	mu     sync.Mutex
	counts map[ngram.ModelID]*[256]map[int64]uint32 // by order and hash
	size   int
}

// count adds one use for each time that a context is among the keys.
func (u *uses) count(model ngram.ModelID, keys []contextKey) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.counts == nil {
		u.counts = map[ngram.ModelID]*[256]map[int64]uint32{}
	}
	orders := u.counts[model]
	if orders == nil {
		orders = new([256]map[int64]uint32)
		u.counts[model] = orders
	}
	for _, key := range keys {
		counts := orders[key.n]
		if counts == nil {
			counts = map[int64]uint32{}
			orders[key.n] = counts
		}
		before := len(counts)
		if u.size >= maxUses && counts[key.hash] == 0 {
			continue
		}
		counts[key.hash]++
		u.size += len(counts) - before
	}
}

func (u *uses) take() map[useKey]uint32 {
	u.mu.Lock()
	counts := u.counts
	u.counts, u.size = nil, 0
	u.mu.Unlock()
	taken := map[useKey]uint32{}
	for model, orders := range counts {
		for n, hashes := range orders {
			for hash, count := range hashes {
				taken[useKey{model, uint8(n), hash}] = count
			}
		}
	}
	return taken
}

// FlushUses adds the uses counted since the last flush to the store, at the given time. Uses that cannot be written
// are lost: they are a hint for people and nothing depends on them.
func (r *Reader) FlushUses(ctx context.Context, now time.Time) error {
	r.flushing.Lock()
	defer r.flushing.Unlock()
	counts := r.uses.take()
	keys := make([]useKey, 0, len(counts))
	for key := range counts {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b useKey) int {
		return cmp.Or(cmp.Compare(a.model, b.model), cmp.Compare(a.n, b.n), cmp.Compare(a.hash, b.hash))
	})
	weight := math.Exp2(float64(now.Sub(usesEpoch)) / float64(usesHalfLife))
	for batch := range slices.Chunk(keys, flushBatch) {
		rows := make([][]any, len(batch))
		for i, key := range batch {
			rows[i] = []any{int64(key.model), int64(key.n), key.hash, weight * float64(counts[key]), now.UnixMicro()}
		}
		err := r.db.InTx(ctx, func(tx *database.Tx) error {
			return tx.Upsert(ctx, "tbl_l1_context_hotness", []string{"model_id", "n", "context_hash", "hotness", "last_seen"},
				[]string{"model_id", "n", "context_hash"},
				[]database.Assign{{Column: "hotness", Add: true}, {Column: "last_seen"}}, rows)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ContextUse is a context and how much it was used lately.
type ContextUse struct {
	Order   int      // of the n-grams that it is the context of
	Hash    int64    // as stored
	Tokens  []uint32 // oldest first
	Hotness float64  // uses, each halved every week
	// Followers is the number of distinct tokens after it, Count the sum of their adjusted counts.
	Followers, Count int64
	Share            float64 // of the hotness of all contexts of the model, in [0, 1]
	Cached           bool    // in the memory of this process
	position         UsePosition
}

// UsePosition is a place in the list of uses.
type UsePosition struct {
	Stored float64
	Order  int
	Hash   int64
}

// Position of the context in the list.
func (c ContextUse) Position() UsePosition { return c.position }

const selectUses = `SELECT h.n, h.context_hash, h.hotness, r.parent_hash, r.oldest_token_id, r.a_total, COALESCE(r.n1, 0) + COALESCE(r.n2, 0) + COALESCE(r.n3, 0)
FROM tbl_l1_context_hotness h
JOIN tbl_l1_context_registry r ON r.model_id = h.model_id AND r.n = h.n AND r.context_hash = h.context_hash
WHERE h.model_id = ? AND (h.hotness < ? OR h.hotness = ? AND (h.n > ? OR h.n = ? AND h.context_hash > ?))
ORDER BY h.hotness DESC, h.n, h.context_hash LIMIT ?`

const selectAllUse = `SELECT COALESCE(SUM(hotness), 0) FROM tbl_l1_context_hotness WHERE model_id = ?`

// FirstUse is the position before all uses.
var FirstUse = UsePosition{Stored: math.MaxFloat64}

// Uses lists at most limit contexts of the view's generation after a position, most used first, as of now.
func (v *View) Uses(ctx context.Context, after UsePosition, limit int, now time.Time) ([]ContextUse, error) {
	var all float64
	if err := v.reader.db.QueryRow(ctx, selectAllUse, int64(v.Build.Model)).Scan(&all); err != nil {
		return nil, err
	}
	rows, err := v.reader.db.Query(ctx, selectUses, int64(v.Build.Model), after.Stored, after.Stored, after.Order, after.Order, after.Hash, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	weight := math.Exp2(float64(now.Sub(usesEpoch)) / float64(usesHalfLife))
	var found []ContextUse
	var rest []ancestor
	for rows.Next() {
		var use ContextUse
		var parent, oldest *int64
		var stored float64
		if err := rows.Scan(&use.Order, &use.Hash, &stored, &parent, &oldest, &use.Count, &use.Followers); err != nil {
			return nil, err
		}
		use.Hotness = stored / weight
		use.Share = min(1, stored/all) // use that was flushed since the sum was read
		use.Cached = v.inMemory(use.Order, use.Hash)
		use.position = UsePosition{stored, use.Order, use.Hash}
		if oldest != nil {
			use.Tokens = append(use.Tokens, uint32(*oldest))
		}
		found = append(found, use)
		rest = append(rest, ancestor{use.Order - 1, deref(parent)})
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return found, v.spell(ctx, found, rest)
}

// inMemory says that the context would be found without reading a row.
func (v *View) inMemory(order int, hash int64) bool {
	if v.table != nil || v.reader.contexts == nil {
		return v.table != nil
	}
	_, cached := v.reader.contexts.GetEntryQuietly(contextKey{v.Build.ID, uint8(order), hash})
	return cached
}

// ancestor is the context whose tokens come next in a context that is being spelled out.
type ancestor struct {
	order int
	hash  int64
}

const selectParents = `SELECT n, context_hash, parent_hash, oldest_token_id FROM tbl_l1_context_registry WHERE model_id = ? AND n = ? AND context_hash IN `

// spell completes the tokens of contexts by following their parents, one statement per order.
func (v *View) spell(ctx context.Context, found []ContextUse, rest []ancestor) error {
	longest := 0
	for _, at := range rest {
		longest = max(longest, at.order)
	}
	for order := longest; order > 1; order-- {
		hashes := map[int64]bool{}
		args := []any{int64(v.Build.Model), order}
		for _, at := range rest {
			if at.order == order && !hashes[at.hash] {
				hashes[at.hash] = true
				args = append(args, at.hash)
			}
		}
		if len(hashes) == 0 {
			continue
		}
		type link struct {
			parent int64
			oldest uint32
		}
		links := map[int64]link{}
		err := v.reader.db.Stream(ctx, selectParents+database.In(len(hashes)), args, func(row database.Row) error {
			links[row.Int(1)] = link{row.Int(2), uint32(row.Int(3))}
			return nil
		})
		if err != nil {
			return err
		}
		for i, at := range rest {
			if l, known := links[at.hash]; at.order == order && known {
				found[i].Tokens = append(found[i].Tokens, l.oldest)
				rest[i] = ancestor{order - 1, l.parent}
			}
		}
	}
	return nil
}

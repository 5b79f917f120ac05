package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/ngram/packed"
)

// write stores a part: what differs from the open rows of the builds before is closed and added, what is equal stays. The
// first build is the case in which nothing is open.
func (d *derivation) write(ctx context.Context, p *part) error {
	d.report("read")
	changed := make([]bool, len(p.contexts)) // by context: its rows are to be written
	var closing []int64                      // contexts whose open rows are to be closed
	if d.open {
		var err error
		if closing, err = d.compare(ctx, p, changed); err != nil {
			return err
		}
	} else {
		for i := range changed {
			changed[i] = true
		}
	}
	var added, closed int64
	again := false
	err := d.t.store.db.InTx(ctx, func(tx *database.Tx) error {
		added, closed = 0, 0
		if err := d.stillBuilding(ctx, tx); err != nil {
			return err
		}
		if again && d.t.immediate {
			if err := d.takeBack(ctx, tx, p); err != nil {
				return err
			}
		}
		again = true
		open, err := d.openProbs(ctx, tx, p, closing)
		if err != nil {
			return err
		}
		for _, save := range []func(context.Context, *database.Tx, *part, []bool, []int64, []openProb) (int64, int64, error){d.saveTopK, d.saveProbs} {
			a, c, err := save(ctx, tx, p, changed, closing, open)
			if err != nil {
				return err
			}
			added, closed = added+a, closed+c
		}
		return d.saveSegments(ctx, tx, p)
	})
	if err != nil {
		return err
	}
	d.build.RowsAdded += added
	d.build.RowsClosed += closed
	d.report("write")
	return nil
}

// takeBack removes what a failed transaction wrote of a part, where the engine did not.
func (d *derivation) takeBack(ctx context.Context, tx *database.Tx, p *part) error {
	for _, table := range derivedTables {
		for _, query := range []string{
			"DELETE FROM " + table + " WHERE model_id = ? AND n = ? AND since_build = ?" + inHashes,
			"UPDATE " + table + " SET until_build = NULL WHERE model_id = ? AND n = ? AND until_build = ?" + inHashes,
		} {
			if _, err := tx.Exec(ctx, query, int64(d.build.Model), p.n, int64(d.build.ID), p.from, p.to); err != nil {
				return err
			}
		}
	}
	return nil
}

const lockBuild = `SELECT state FROM tbl_l1_builds WHERE build_id = ?`

// stillBuilding holds the row of the build until the transaction ends: a trainer that slept through its lease cannot write
// rows of a build that the next one already swept away.
func (d *derivation) stillBuilding(ctx context.Context, tx *database.Tx) error {
	var state string
	err := tx.QueryRow(ctx, lockBuild+tx.Dialect().ForUpdate(), int64(d.build.ID)).Scan(&state)
	if err == nil && state != "building" {
		err = errors.New(errors.Aborted, reasonLeaseLost, "build %d was ended by somebody else; derive it again", d.build.ID)
	}
	return err
}

const selectOpenTopK = `SELECT context_hash, chunk, q_backoff, backoff, packed FROM tbl_l1_ng_topk_n
WHERE model_id = ? AND n = ? AND context_hash BETWEEN ? AND ? AND until_build IS NULL ORDER BY context_hash, chunk`

// compare reads the open packed rows of the part. They hold everything about a context, so the single rows of contexts
// that did not change need not be read.
func (d *derivation) compare(ctx context.Context, p *part, changed []bool) (closing []int64, err error) {
	at, chunk := 0, 0 // the derived context at hand, and its chunks that are equal so far
	same, begun := true, false
	var hash int64
	end := func() {
		if !begun {
			return
		}
		if at < len(p.contexts) && p.contexts[at].hash == hash {
			same = same && chunk == p.contexts[at].last-p.contexts[at].chunk
			changed[at] = !same
			at++
		} else {
			same = false
		}
		if !same {
			closing = append(closing, hash)
		}
	}
	args := []any{int64(d.build.Model), p.n, p.from, p.to}
	err = d.t.store.db.Stream(ctx, selectOpenTopK, args, func(row database.Row) error {
		if next := row.Int(0); !begun || next != hash {
			end()
			begun, hash, same, chunk = true, next, true, 0
			for ; at < len(p.contexts) && p.contexts[at].hash < hash; at++ {
				changed[at] = true // new
			}
		}
		if at == len(p.contexts) || p.contexts[at].hash != hash || !same {
			same = false
			return nil
		}
		context := &p.contexts[at]
		if context.chunk+chunk == context.last {
			same = false
			return nil
		}
		want := p.chunks[context.chunk+chunk]
		same = bytes.Equal(row.Bytes(4), p.blobs[want.begin:want.end]) && sameBackoff(row, context, chunk)
		chunk++
		return nil
	})
	end()
	for ; at < len(p.contexts); at++ {
		changed[at] = true
	}
	return closing, err
}

func sameBackoff(row database.Row, context *derived, chunk int) bool {
	switch {
	case chunk > 0:
		return row.IsNull(2) && row.IsNull(3)
	case context.backoffCode >= 0:
		return !row.IsNull(2) && row.Int(2) == int64(context.backoffCode)
	}
	return row.IsNull(2) && !row.IsNull(3) && row.Float(3) == context.backoff
}

// openProb is an open row of tbl_l1_ng_probs_n.
type openProb struct {
	hash  int64
	token uint32
	since int64
	code  uint64
}

const selectOpenProbs = `SELECT context_hash, next_token_id, since_build, q_logprob, logprob FROM tbl_l1_ng_probs_n
WHERE model_id = ? AND n = ? AND until_build IS NULL AND context_hash IN `

// openProbs reads the open rows of contexts that changed or went, in key order.
func (d *derivation) openProbs(ctx context.Context, tx *database.Tx, p *part, closing []int64) ([]openProb, error) {
	var open []openProb
	for some := range slices.Chunk(closing, idsPerQuery) {
		args := []any{int64(d.build.Model), p.n}
		for _, hash := range some {
			args = append(args, hash)
		}
		err := tx.Stream(ctx, selectOpenProbs+database.In(len(some))+inOrderOfHashTok, args, func(row database.Row) error {
			o := openProb{hash: row.Int(0), token: uint32(row.Int(1)), since: row.Int(2)}
			switch {
			case !row.IsNull(3):
				o.code = uint64(row.Int(3))
			default:
				o.code = packed.Code(row.Float(4))
			}
			if row.IsNull(3) != (d.bits == 0) { // stored in another way: never equal
				o.code = ^uint64(0)
			}
			open = append(open, o)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return open, nil
}

const closeTopK = `UPDATE tbl_l1_ng_topk_n SET until_build = ? WHERE model_id = ? AND n = ? AND until_build IS NULL AND context_hash IN `

var topKColumns = []string{"model_id", "n", "context_hash", "chunk", "since_build", "q_backoff", "backoff", "followers", "packed"}

func (d *derivation) saveTopK(ctx context.Context, tx *database.Tx, p *part, changed []bool, closing []int64, _ []openProb) (added, closed int64, err error) {
	for some := range slices.Chunk(closing, idsPerQuery) {
		args := []any{int64(d.build.ID), int64(d.build.Model), p.n}
		for _, hash := range some {
			args = append(args, hash)
		}
		matched, err := tx.Exec(ctx, closeTopK+database.In(len(some)), args...)
		if err != nil {
			return 0, 0, err
		}
		closed += matched
	}
	var size int64
	added, err = tx.Load(ctx, "tbl_l1_ng_topk_n", topKColumns, func(w database.RowWriter) error {
		size = 0
		for i := range p.contexts {
			if !changed[i] {
				continue
			}
			context := &p.contexts[i]
			for chunk, row := range p.chunks[context.chunk:context.last] {
				w.Int(int64(d.build.Model))
				w.Int(int64(p.n))
				w.Int(context.hash)
				w.Int(int64(chunk))
				w.Int(int64(d.build.ID))
				switch {
				case chunk > 0:
					w.Null()
					w.Null()
				case context.backoffCode >= 0:
					w.Int(int64(context.backoffCode))
					w.Null()
				default:
					w.Null()
					w.Float(context.backoff)
				}
				w.Int(int64(row.followers))
				w.Bytes(p.blobs[row.begin:row.end])
				size += int64(row.end - row.begin)
				if err := w.EndRow(); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	return added, closed, d.verify(ctx, tx, p, changed, sumTopK, added, size)
}

var (
	probColumns  = []string{"model_id", "n", "context_hash", "next_token_id", "since_build", "q_logprob", "logprob"}
	closeColumns = []string{"model_id", "n", "context_hash", "next_token_id", "since_build", "until_build"}
)

func (d *derivation) saveProbs(ctx context.Context, tx *database.Tx, p *part, changed []bool, _ []int64, open []openProb) (added, closed int64, err error) {
	keep := make([]bool, len(p.tokens)) // rows that are open already
	var closing [][]any
	at := 0
	for _, o := range open {
		for at < len(p.contexts) && p.contexts[at].hash < o.hash {
			at++
		}
		if at < len(p.contexts) && p.contexts[at].hash == o.hash {
			context := &p.contexts[at]
			i, found := slices.BinarySearch(p.tokens[context.first:context.end], o.token)
			if i += context.first; found && p.codes[i] == o.code {
				keep[i] = true
				continue
			}
		}
		closing = append(closing, []any{int64(d.build.Model), p.n, o.hash, int64(o.token), o.since, int64(d.build.ID)})
	}
	if err := tx.Upsert(ctx, "tbl_l1_ng_probs_n", closeColumns, closeColumns[:5], []database.Assign{{Column: "until_build"}}, closing); err != nil {
		return 0, 0, err
	}
	var sum int64
	added, err = tx.Load(ctx, "tbl_l1_ng_probs_n", probColumns, func(w database.RowWriter) error {
		sum = 0
		for i := range p.contexts {
			if !changed[i] {
				continue
			}
			context := &p.contexts[i]
			for j := context.first; j < context.end; j++ {
				if keep[j] {
					continue
				}
				w.Int(int64(d.build.Model))
				w.Int(int64(p.n))
				w.Int(context.hash)
				w.Int(int64(p.tokens[j]))
				w.Int(int64(d.build.ID))
				if d.bits > 0 {
					w.Int(int64(p.codes[j]))
					w.Null()
					sum += 3 * int64(p.codes[j])
				} else {
					w.Null()
					w.Float(packed.Float(p.codes[j]))
				}
				sum += int64(p.tokens[j])
				if err := w.EndRow(); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	return added, int64(len(closing)), d.verify(ctx, tx, p, changed, sumProbs, added, sum)
}

// The sums are doubles, which are exact here (below 2^53) and cheaper than the DECIMAL that MySQL adds integers in.
const (
	sumTopK  = `SELECT COUNT(*), COALESCE(SUM(LENGTH(packed) * 1e0), 0) FROM tbl_l1_ng_topk_n WHERE model_id = ? AND n = ? AND since_build = ?`
	sumProbs = `SELECT COUNT(*), COALESCE(SUM(next_token_id + COALESCE(q_logprob, 0) * 3e0), 0) FROM tbl_l1_ng_probs_n WHERE model_id = ? AND n = ? AND since_build = ?`
	inHashes = ` AND context_hash BETWEEN ? AND ?`
)

// verify reads back what a load wrote, as a count and a sum: a bulk load may lose or clamp silently. Where few contexts were
// written it reads those alone.
func (d *derivation) verify(ctx context.Context, tx *database.Tx, p *part, changed []bool, query string, rows, sum int64) error {
	if rows == 0 {
		return nil
	}
	var written []any
	for i := range p.contexts {
		if changed[i] {
			written = append(written, p.contexts[i].hash)
		}
	}
	var count int64
	var total float64
	add := func(where string, args ...any) error {
		var c int64
		var s float64
		args = append([]any{int64(d.build.Model), p.n, int64(d.build.ID)}, args...)
		err := tx.QueryRow(ctx, query+where, args...).Scan(&c, &s)
		count, total = count+c, total+s
		return err
	}
	var err error
	if len(written)*4 > len(p.contexts) {
		err = add(inHashes, p.from, p.to)
	} else {
		for some := range slices.Chunk(written, idsPerQuery) {
			if err == nil {
				err = add(inContexts+database.In(len(some)), some...)
			}
		}
	}
	if err == nil && (count != rows || total != float64(sum)) {
		err = errors.New(errors.DataLoss, "LOAD_NOT_VERIFIED", "the database did not keep the rows of the build as they were written; nothing was published").
			With("written", fmt.Sprint(rows, sum)).With("found", fmt.Sprint(count, total))
	}
	return err
}

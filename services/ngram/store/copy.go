package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
)

// copiedTable is a table whose rows go with a model. Columns are "name:kind" with the kinds i (integer), f (double), b (bytes)
// and t (text). cut says by which key a long table is read piece by piece.
type copiedTable struct {
	table   string
	columns string
	cut     cut
	match   string // which rows; "" for all of the model
	keys    int    // of the columns, how many are of the key; only for short tables of builds and codebooks
}

type cut uint8

const (
	cutNot      cut = iota // short: read at once
	cutTokens              // by ranges of token_id
	cutContexts            // by orders and ranges of context_hash
	cutGrams               // the same, and the unigrams by ranges of next_token_id
)

const shownBy = `since_build <= ? AND (until_build IS NULL OR until_build > ?)`

// The tables that a copy takes along: those of the counts and documents, and those of the build that serves. What is not
// here belongs to the original alone (other builds, uses, measurements, policies) or is made anew when it is needed.
var (
	copiedOfModel = []copiedTable{
		{"tbl_l1_model_orders", "n:i ngrams:i contexts:i raw_total:i adjusted_total:i t1:i t2:i t3:i t4:i", cutNot, "", 0},
		{"tbl_l1_vocabulary", "token_id:i token:b is_control:i freq_global:i", cutTokens, "", 0},
		{"tbl_l1_surface_forms", "token_id:i form:b inner_count:i start_count:i", cutTokens, "", 0},
		{"tbl_l1_ng_counts_n", "n:i context_hash:i next_token_id:i c:i a:i", cutGrams, "", 0},
		{"tbl_l1_context_registry", "n:i context_hash:i parent_hash:i oldest_token_id:i n1:i n2:i n3:i a3:i", cutContexts, "", 0},
		{"tbl_corpus", "label:b document_id:t content_hash:b weight:i state:t text_bytes:i sentences:i tokens:i ngrams:i bytes_done:i text_kept:i stored_bytes:i created_at:i first_version:i", cutNot, "", 0},
		{"tbl_decode_hparams", "profile:t parameters:t", cutNot, "", 0},
		{"tbl_decode_cache_weights", "tokens:i weight:f", cutNot, "", 0},
		{"tbl_decode_bans", "ban:b", cutNot, "", 0},
		{"tbl_token_normalization", "source:b target:b", cutNot, "", 0},
	}
	copiedOfBuild = []copiedTable{
		{"tbl_l1_ng_probs_n", "n:i context_hash:i next_token_id:i q_logprob:i logprob:f", cutGrams, shownBy, 0},
		{"tbl_l1_ng_topk_n", "n:i context_hash:i chunk:i q_backoff:i backoff:f followers:i packed:b", cutContexts, shownBy, 0},
		{"tbl_l1_forms", "token_id:i form:b", cutTokens, shownBy, 0},
	}
	copiedText   = copiedTable{"tbl_corpus_text", "document_id:t first_byte:i piece:b", cutNot, "", 0}
	copiedParams = []copiedTable{
		{"tbl_l1_counts_of_counts", "n:i k:i t:i", cutNot, "", 2},
		{"tbl_l1_mkn_params", "n:i d1:f d2:f d3:f fallback:i ngrams:i", cutNot, "", 1},
		{"tbl_l1_jm_weights", "n:i class:i lambda:f events:i", cutNot, "", 2},
		{"tbl_l1_pruning", "threshold:f target_ngrams:i target_bytes:i applied_threshold:f cutoffs:i", cutNot, "", 0},
		{"tbl_l1_pruning_orders", "n:i cutoff:i pruned:i", cutNot, "", 1},
		{"tbl_l1_build_measures", "shown_rows:i shown_bytes:i sha256:b sentences:i tokens:i oov:i log10:f exact_log10:f", cutNot, "", 0},
	}
	copiedBooks = []copiedTable{
		{"tbl_quant_meta", "kind:t bits:i lo:f hi:f", cutNot, "", 0},
		{"tbl_q_to_mass", "code:i log10_value:f mass:f", cutNot, "", 1},
	}
	modelRow = copiedTable{"tbl_l1_models", "max_order:i tokenizer:t tokenizer_parameters:t normalization:t unk_policy:t counts_version:i vocabulary_size:i documents:i sentences:i tokens:i", cutNot, "", 0}
	buildRow = copiedTable{"tbl_l1_builds", "smoothing:t kenlm_quirk:i storage:t max_order:i vocabulary_end:i vocabulary_size:i counts_version:i tokens:i rows_added:i rows_closed:i unigram_codebook:i logprob_codebook:i backoff_codebook:i warnings:t created_at:i finished_at:i", cutNot, "", 0}
)

func (c copiedTable) names() (names []string, kinds []byte) {
	for _, column := range strings.Fields(c.columns) {
		name, kind, _ := strings.Cut(column, ":")
		names, kinds = append(names, name), append(kinds, kind[0])
	}
	return names, kinds
}

// Copied is told how many rows of a table are copied so far.
type Copied func(table string, rows int64)

// CopyTo copies a model, with its documents, counts and the build that serves, under a free name into a store, which may be
// this one or of another engine. The copy says and generates what the original does; it appears whole or not at all. The
// original is held meanwhile, so nobody trains it. AlreadyExists if the name is taken.
func (s *Store) CopyTo(ctx context.Context, to *Store, tenant, model, target string, progress Copied) (ngram.Model, error) {
	if target == "" || padded(target) {
		return ngram.Model{}, errors.New(errors.InvalidArgument, "MODEL_NAME_INVALID", "a model's name must not be empty, or begin or end with white space").Field("target", "invalid")
	}
	if err := to.free(ctx, tenant, target); err != nil {
		return ngram.Model{}, err
	}
	if err := to.clearDead(ctx, tenant, target); err != nil {
		return ngram.Model{}, err
	}
	err := s.Train(ctx, tenant, model, "a copy to "+target, func(ctx context.Context, t *Trainer) error {
		if t.model.Published != 0 && t.model.Serving != t.model.ID {
			return errors.New(errors.FailedPrecondition, "RESET_UNFINISHED",
				"model %q was emptied, but what it held before still serves; publish a build of its new contents, then copy it", model).With("model", model)
		}
		if _, err := t.Count(ctx, nil); err != nil {
			return err
		}
		aside, err := readAside(ctx, s.db, t.model.ID, "")
		if err == nil && len(aside) > 0 {
			err = errors.New(errors.FailedPrecondition, "DOCUMENT_IS_BEING_FORGOTTEN", "document %q of model %q is being forgotten; forget it again to complete that, then copy the model", aside[0].Label, model)
		}
		if err != nil {
			return err
		}
		c := &copier{from: s, to: to, source: t.model, tenant: tenant, target: target, progress: progress}
		return c.run(ctx)
	})
	if err != nil {
		return ngram.Model{}, err
	}
	return to.Model(ctx, tenant, target)
}

func (s *Store) free(ctx context.Context, tenant, name string) error {
	_, err := s.Model(ctx, tenant, name)
	switch {
	case err == nil:
		return errors.New(errors.AlreadyExists, "MODEL_EXISTS", "there is a model %q already; choose another name, or delete it first", name).With("model", name)
	case errors.KindOf(err) == errors.NotFound:
		return nil
	}
	return err
}

// copier is one copy in the making: a generation in state copying, without a name, whose retired_at is when it was last written
// to. Purge removes one that nobody wrote to for abandonedAfter.
type copier struct {
	from, to       *Store
	source         ngram.Model
	tenant, target string
	progress       Copied

	model ngram.ModelID
	build ngram.BuildID // 0 when none serves
}

const (
	insertCopying  = `INSERT INTO tbl_l1_models (model_id, tenant, name, state, retired_at, request_id, created_at, max_order, tokenizer, tokenizer_parameters, normalization, unk_policy, counts_version, vocabulary_size, documents, sentences, tokens) VALUES (?, ?, ?, 'copying', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	touchCopying   = `UPDATE tbl_l1_models SET retired_at = ? WHERE model_id = ? AND state = 'copying'`
	finishCopying  = `UPDATE tbl_l1_models SET state = 'live', retired_at = NULL WHERE model_id = ? AND state = 'copying'`
	retireCopying  = `UPDATE tbl_l1_models SET state = 'retired' WHERE model_id = ? AND state = 'copying'`
	retireStale    = `UPDATE tbl_l1_models SET state = 'retired' WHERE state = 'copying' AND retired_at <= ?`
	insertServing  = `INSERT INTO tbl_l1_model_names (tenant, name, model_id, published_build, lease_until, created_at) VALUES (?, ?, ?, ?, 0, ?)`
	finishCopied   = `UPDATE tbl_l1_builds SET state = 'ready', swept = 0, served_seq = ? WHERE build_id = ?`
	selectTextKeys = `SELECT document_id, first_byte FROM tbl_corpus_text WHERE model_id = ? ORDER BY document_id, first_byte`
)

func (c *copier) run(ctx context.Context) (err error) {
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.to.leases.Delete(c.model)
	defer func() {
		if err != nil { // what is not removed now goes with a later purge
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			_, purgeErr := c.to.db.Exec(ctx, retireCopying, int64(c.model))
			if purgeErr == nil {
				purgeErr = c.to.purge(ctx, c.model, func() {})
			}
			if purgeErr != nil {
				c.to.options.Logger.WarnContext(ctx, "removing an incomplete copy failed; it is removed later", "model", c.target, "error", purgeErr)
			}
		}
	}()
	for _, table := range copiedOfModel {
		if err := c.table(ctx, table, nil, []string{"model_id"}, []any{int64(c.model)}); err != nil {
			return err
		}
	}
	if err := c.texts(ctx); err != nil {
		return err
	}
	if c.build != 0 {
		old := int64(c.source.Published)
		for _, table := range copiedOfBuild {
			if err := c.table(ctx, table, []any{old, old}, []string{"model_id", "since_build"}, []any{int64(c.model), int64(c.build)}); err != nil {
				return err
			}
		}
	}
	return c.finish(ctx)
}

// begin makes the generation and the build that are copied to, invisible both.
func (c *copier) begin(ctx context.Context) error {
	model, err := c.read(ctx, modelRow, "model_id = ?", int64(c.source.ID))
	if err != nil {
		return err
	}
	var build [][]any
	books := make([][][]any, len(copiedBooks))
	if c.source.Published != 0 {
		if build, err = c.read(ctx, buildRow, "build_id = ?", int64(c.source.Published)); err != nil {
			return err
		}
		names, _ := buildRow.names()
		for i, name := range names {
			if !strings.HasSuffix(name, "_codebook") || build[0][i] == nil {
				continue
			}
			for j, table := range copiedBooks {
				rows, err := c.read(ctx, table, "codebook_id = ?", build[0][i])
				if err != nil {
					return err
				}
				for _, row := range rows {
					books[j] = append(books[j], append([]any{build[0][i]}, row...))
				}
			}
		}
	}
	return c.to.db.InTx(ctx, func(tx *database.Tx) error {
		number, err := nextNumber(ctx, tx, counterModel)
		if err != nil {
			return err
		}
		c.model = ngram.ModelID(number)
		c.to.leases.Store(c.model, nil)
		_, err = tx.Exec(ctx, insertCopying, append([]any{number, c.tenant, c.target, c.to.now(), c.to.holder(), c.to.now()}, model[0]...)...)
		if err != nil || len(build) == 0 {
			return err
		}
		for i, table := range copiedBooks { // shared by what they hold
			if err := upsertBehind(ctx, tx, table, "codebook_id", books[i]); err != nil {
				return err
			}
		}
		id, err := nextNumber(ctx, tx, counterBuild)
		if err != nil {
			return err
		}
		c.build = ngram.BuildID(id)
		names, _ := buildRow.names()
		columns := append([]string{"build_id", "model_id", "tenant", "name", "state", "swept", "failure"}, names...)
		row := append([]any{id, number, c.tenant, c.target, string(ngram.BuildBuilding), 0, ""}, build[0]...)
		return tx.Upsert(ctx, buildRow.table, columns, columns[:1], nil, [][]any{row})
	})
}

// read reads rows of the original.
func (c *copier) read(ctx context.Context, table copiedTable, where string, args ...any) ([][]any, error) {
	names, kinds := table.names()
	var rows [][]any
	err := c.from.db.Stream(ctx, "SELECT "+strings.Join(names, ", ")+" FROM "+table.table+" WHERE "+where, args, func(row database.Row) error {
		values := make([]any, len(kinds))
		for i, kind := range kinds {
			switch {
			case row.IsNull(i):
			case kind == 'i':
				values[i] = row.Int(i)
			case kind == 'f':
				values[i] = row.Float(i)
			case kind == 't':
				values[i] = string(row.Bytes(i))
			default:
				values[i] = append([]byte{}, row.Bytes(i)...)
			}
		}
		rows = append(rows, values)
		return nil
	})
	return rows, err
}

// write stores rows of the copy behind the values of its own columns, in one transaction, if the copy is not given up.
func (c *copier) write(ctx context.Context, table copiedTable, own []string, values []any, rows [][]any) error {
	names, _ := table.names()
	return c.to.db.InTx(ctx, func(tx *database.Tx) error {
		if err := c.touch(ctx, tx, touchCopying, c.to.now(), int64(c.model)); err != nil {
			return err
		}
		_, err := tx.Load(ctx, table.table, slices.Concat(own, names), func(w database.RowWriter) error {
			for _, row := range rows {
				for _, value := range slices.Concat(values, row) {
					switch v := value.(type) {
					case nil:
						w.Null()
					case int64:
						w.Int(v)
					case float64:
						w.Float(v)
					case string:
						w.String(v)
					case []byte:
						w.Bytes(v)
					}
				}
				if err := w.EndRow(); err != nil {
					return err
				}
			}
			return nil
		})
		return err
	})
}

func (c *copier) touch(ctx context.Context, tx *database.Tx, query string, args ...any) error {
	matched, err := tx.Exec(ctx, query, args...)
	if err == nil && matched != 1 {
		err = errors.New(errors.Aborted, "COPY_ABANDONED", "the copy %q was given up because it stood still; copy the model again", c.target)
	}
	return err
}

// table copies a table of the model piece by piece, in the order of its key.
func (c *copier) table(ctx context.Context, table copiedTable, match []any, own []string, values []any) error {
	var copied int64
	return c.pieces(ctx, table.cut, func(where string, args ...any) error {
		if table.match != "" {
			where += " AND " + table.match
		}
		rows, err := c.read(ctx, table, where+order[table.cut], slices.Concat(args, match)...)
		if err != nil || len(rows) == 0 {
			return err
		}
		if copied += int64(len(rows)); c.progress != nil {
			c.progress(table.table, copied)
		}
		return c.write(ctx, table, own, values, rows)
	})
}

// order of the rows of a piece: that of the key, so that pages fill.
var order = map[cut]string{cutTokens: " ORDER BY token_id", cutContexts: " ORDER BY context_hash", cutGrams: " ORDER BY context_hash, next_token_id"}

// pieces calls yield for conditions that cut a table into about sweepRows rows each.
func (c *copier) pieces(ctx context.Context, cut cut, yield func(where string, args ...any) error) error {
	model := int64(c.source.ID)
	if cut == cutNot {
		return yield("model_id = ?", model)
	}
	orders, words, err := c.from.extent(ctx, c.source.ID)
	if err != nil {
		return err
	}
	tokens := func(where string, args ...any) error {
		for from := int64(0); from < words; from += sweepRows {
			if err := yield(where, append(slices.Clone(args), from, from+sweepRows-1)...); err != nil {
				return err
			}
		}
		return nil
	}
	if cut == cutTokens {
		return tokens("model_id = ? AND token_id BETWEEN ? AND ?", model)
	}
	for i, grams := range orders {
		if i == 0 && cut == cutGrams {
			if err := tokens("model_id = ? AND n = 1 AND context_hash = ? AND next_token_id BETWEEN ? AND ?", model, c.from.options.Hash(nil)); err != nil {
				return err
			}
			continue
		}
		for from, to := range hashRanges(grams/sweepRows + 1) {
			if err := yield("model_id = ? AND n = ? AND context_hash BETWEEN ? AND ?", model, i+1, from, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// texts copies the stored texts, piece by piece.
func (c *copier) texts(ctx context.Context) error {
	type key struct {
		document string
		first    int64
	}
	var keys []key
	err := c.from.db.Stream(ctx, selectTextKeys, []any{int64(c.source.ID)}, func(row database.Row) error {
		keys = append(keys, key{string(row.Bytes(0)), row.Int(1)})
		return nil
	})
	for i, k := range keys {
		var rows [][]any
		if err == nil {
			rows, err = c.read(ctx, copiedText, "model_id = ? AND document_id = ? AND first_byte = ?", int64(c.source.ID), k.document, k.first)
		}
		if err == nil {
			err = c.write(ctx, copiedText, []string{"model_id"}, []any{int64(c.model)}, rows)
		}
		if err != nil {
			return err
		}
		if c.progress != nil {
			c.progress(copiedText.table, int64(i+1))
		}
	}
	return err
}

// upsertBehind stores rows of a short table behind their id, unless they are there.
func upsertBehind(ctx context.Context, tx *database.Tx, table copiedTable, id string, rows [][]any) error {
	names, _ := table.names()
	columns := append([]string{id}, names...)
	return tx.Upsert(ctx, table.table, columns, columns[:1+table.keys], nil, rows)
}

// finish gives the copy its name.
func (c *copier) finish(ctx context.Context) error {
	params := make([][][]any, len(copiedParams))
	if c.build != 0 {
		for i, table := range copiedParams {
			var err error
			if params[i], err = c.read(ctx, table, "build_id = ?", int64(c.source.Published)); err != nil {
				return err
			}
			for j, row := range params[i] {
				params[i][j] = append([]any{int64(c.build)}, row...)
			}
		}
	}
	err := c.to.db.InTx(ctx, func(tx *database.Tx) error {
		if err := c.touch(ctx, tx, finishCopying, int64(c.model)); err != nil {
			return err
		}
		var published any
		if c.build != 0 {
			published = int64(c.build)
			for i, table := range copiedParams {
				if err := upsertBehind(ctx, tx, table, "build_id", params[i]); err != nil {
					return err
				}
			}
			served, err := nextNumber(ctx, tx, counterServed)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, finishCopied, served, int64(c.build)); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, insertServing, c.tenant, c.target, int64(c.model), published, c.to.now())
		return err
	})
	if database.IsDuplicate(err) {
		return errors.New(errors.AlreadyExists, "MODEL_EXISTS", "a model %q was made meanwhile; choose another name", c.target).With("model", c.target)
	}
	return err
}

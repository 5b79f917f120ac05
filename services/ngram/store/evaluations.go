package store

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
)

const (
	insertEvaluation = `INSERT INTO tbl_l1_evaluations (tenant, evaluation_id, name, build_id, label, text_sha256, text_bytes, sentences, options, details, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	insertEvaluationOrder = `INSERT INTO tbl_l1_evaluation_orders (evaluation_id, n, oov, tokens, log10_sum) VALUES (?, ?, ?, ?, ?)`
)

// SaveEvaluation stores the result of measuring a text with the view's build; see Store.SaveEvaluation.
func (v *View) SaveEvaluation(ctx context.Context, e ngram.Evaluation) (ngram.Evaluation, error) {
	return New(v.reader.db, Options{}).SaveEvaluation(ctx, e)
}

// SaveEvaluation stores an evaluation and returns it with its id. The model must still be there.
func (s *Store) SaveEvaluation(ctx context.Context, e ngram.Evaluation) (ngram.Evaluation, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return e, err
	}
	options, err := json.Marshal(e.Options)
	if err != nil {
		return e, err
	}
	details, err := json.Marshal(e.Details)
	if err != nil {
		return e, err
	}
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		if _, _, _, err := s.lockName(ctx, tx, e.Tenant, e.Name); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, insertEvaluation, e.Tenant, id.String(), e.Name, int64(e.Build), []byte(e.Label), e.TextSHA256[:], int64(e.TextBytes),
			int64(e.Sentences), string(options), string(details), e.Created.UnixMicro())
		if err != nil {
			return err
		}
		for _, o := range e.Orders {
			if _, err := tx.Exec(ctx, insertEvaluationOrder, id.String(), o.N, o.OOV, int64(o.Tokens), o.Log10); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return e, err
	}
	e.ID = id.String()
	return e, nil
}

const (
	selectEvaluations = `SELECT evaluation_id, name, build_id, label, text_sha256, text_bytes, sentences, options, details, created_at FROM tbl_l1_evaluations
WHERE tenant = ? `
	byEvaluation    = `AND evaluation_id = ?`
	andModel        = `AND name = ? `
	andEvalBuild    = `AND build_id = ? `
	andText         = `AND text_sha256 = ? `
	beforeEval      = `AND evaluation_id < ? `
	newestEvalFirst = `ORDER BY evaluation_id DESC LIMIT ?`
)

// EvaluationFilter chooses evaluations of a tenant. Zero values choose all.
type EvaluationFilter struct {
	Model  string
	Build  ngram.BuildID
	Text   []byte // SHA-256
	Before string // id of the last evaluation of the page before
}

// Evaluations lists at most limit evaluations, newest first. A model that does not exist is NotFound.
func (s *Store) Evaluations(ctx context.Context, tenant string, filter EvaluationFilter, limit int) ([]ngram.Evaluation, error) {
	where, args := "", []any{tenant}
	add := func(condition string, value any) { where, args = where+condition, append(args, value) }
	if filter.Model != "" {
		add(andModel, filter.Model)
	}
	if filter.Build != 0 {
		add(andEvalBuild, int64(filter.Build))
	}
	if len(filter.Text) > 0 {
		add(andText, filter.Text)
	}
	if filter.Before != "" {
		add(beforeEval, filter.Before)
	}
	add(newestEvalFirst, limit)
	var found []ngram.Evaluation
	err := s.db.InReadTx(ctx, func(tx *database.Tx) (err error) {
		if filter.Model != "" {
			if _, err := s.readModel(ctx, tx, tenant, filter.Model); err != nil {
				return err
			}
		}
		found, err = readEvaluations(ctx, tx, tenant, where, args...)
		return err
	})
	return found, err
}

// Evaluation returns one evaluation, or NotFound.
func (s *Store) Evaluation(ctx context.Context, tenant, id string) (ngram.Evaluation, error) {
	var found []ngram.Evaluation
	err := s.db.InReadTx(ctx, func(tx *database.Tx) (err error) {
		found, err = readEvaluations(ctx, tx, tenant, byEvaluation, tenant, id)
		return err
	})
	if err == nil && (len(found) == 0 || found[0].ID != id) {
		err = noEvaluation(id)
	}
	if err != nil {
		return ngram.Evaluation{}, err
	}
	return found[0], nil
}

func noEvaluation(id string) error {
	return errors.New(errors.NotFound, "EVALUATION_NOT_FOUND", "there is no evaluation %q; list the evaluations to see their ids", id).With("evaluation", id)
}

const selectEvaluationOrders = `SELECT n, oov, tokens, log10_sum FROM tbl_l1_evaluation_orders WHERE evaluation_id = ? ORDER BY n, oov DESC`

func readEvaluations(ctx context.Context, tx *database.Tx, tenant, where string, args ...any) ([]ngram.Evaluation, error) {
	var found []ngram.Evaluation
	err := tx.Stream(ctx, selectEvaluations+where, args, func(row database.Row) error {
		e := ngram.Evaluation{
			ID: string(row.Bytes(0)), Tenant: tenant, Name: string(row.Bytes(1)), Build: ngram.BuildID(row.Int(2)), Label: string(row.Bytes(3)),
			TextBytes: uint64(row.Int(5)), Sentences: uint64(row.Int(6)), Created: toTime(row.Int(9)),
		}
		copy(e.TextSHA256[:], row.Bytes(4))
		if err := errors.Join(json.Unmarshal(row.Bytes(7), &e.Options), json.Unmarshal(row.Bytes(8), &e.Details)); err != nil {
			return errors.Wrap(err, errors.DataLoss, "EVALUATION_DAMAGED", "the record of evaluation %q is damaged; delete it", e.ID)
		}
		found = append(found, e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range found {
		err := tx.Stream(ctx, selectEvaluationOrders, []any{found[i].ID}, func(row database.Row) error {
			found[i].Orders = append(found[i].Orders, ngram.EvaluatedOrder{N: int(row.Int(0)), OOV: row.Int(1) != 0, Tokens: uint64(row.Int(2)), Log10: row.Float(3)})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

const (
	deleteEvaluation       = `DELETE FROM tbl_l1_evaluations WHERE tenant = ? AND evaluation_id = ?`
	deleteEvaluationOrders = `DELETE FROM tbl_l1_evaluation_orders WHERE evaluation_id = ?`
	deleteModelOrders      = `DELETE FROM tbl_l1_evaluation_orders WHERE evaluation_id IN (SELECT evaluation_id FROM tbl_l1_evaluations WHERE tenant = ? AND name = ?)`
	deleteModelEvaluations = `DELETE FROM tbl_l1_evaluations WHERE tenant = ? AND name = ?`
)

// DeleteEvaluation removes one evaluation, or says NotFound.
func (s *Store) DeleteEvaluation(ctx context.Context, tenant, id string) error {
	return s.db.InTx(ctx, func(tx *database.Tx) error {
		matched, err := tx.Exec(ctx, deleteEvaluation, tenant, id)
		if err == nil && matched == 0 {
			err = noEvaluation(id)
		}
		if err == nil {
			_, err = tx.Exec(ctx, deleteEvaluationOrders, id)
		}
		return err
	})
}

// forgetEvaluations removes the evaluations of a model, with the model.
func forgetEvaluations(ctx context.Context, tx *database.Tx, tenant, model string) error {
	_, err := tx.Exec(ctx, deleteModelOrders, tenant, model)
	if err == nil {
		_, err = tx.Exec(ctx, deleteModelEvaluations, tenant, model)
	}
	return err
}

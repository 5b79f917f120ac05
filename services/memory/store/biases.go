package store

import (
	"context"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/memory"
)

const biasColumns = `tenant, bias_id, request_id, scope, COALESCE(conversation_id, ''), user_id, model, pattern, sequence_text, strength_log10,
  COALESCE(expires_at, 0), COALESCE(correction_id, ''), created_at, COALESCE(then_text, ''), gap_words, is_regex, COALESCE(half_life_us, 0)`

func scanBias(row database.Scanner) (memory.Bias, error) {
	var b memory.Bias
	var expires, created, regex, halfLife int64
	err := row.Scan(&b.Tenant, &b.ID, &b.RequestID, &b.Scope, &b.ConversationID, &b.UserID, &b.Model, &b.Pattern, &b.Sequence, &b.Strength,
		&expires, &b.CorrectionID, &created, &b.Then, &b.Gap, &regex, &halfLife)
	b.Regex, b.HalfLife = regex != 0, time.Duration(halfLife)*time.Microsecond
	b.Expires, b.Created = fromMicros(expires), fromMicros(created)
	return b, err
}

const (
	selectBiasByRequest = `SELECT ` + biasColumns + ` FROM tbl_l2_token_bias WHERE tenant = ? AND request_id = ?`
	insertBias          = `INSERT INTO tbl_l2_token_bias (tenant, bias_id, request_id, scope, scope_key, conversation_id, user_id, model,
  pattern, anchor, sequence_text, strength_log10, expires_at, correction_id, created_at,
  then_text, gap_words, is_regex, half_life_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	countRegexBiases = `SELECT COUNT(*) FROM tbl_l2_token_bias WHERE tenant = ? AND scope_key = ? AND anchor = '' AND is_regex = 1`
	deleteBias       = `DELETE FROM tbl_l2_token_bias WHERE tenant = ? AND bias_id = ?`
)

// CreateBias stores a bias that memory.Bias.Complete has accepted; b.Created is the time. The same request id returns what it
// stored before.
func (s *Store) CreateBias(ctx context.Context, b memory.Bias) (memory.Bias, error) {
	var err error
	if b.ID, err = newID(); err != nil {
		return b, err
	}
	if b.Place, err = s.placeOfItsOwn(ctx, b.Tenant, b.Place); err != nil {
		return b, err
	}
	if b.CorrectionID != "" {
		if _, err := readCorrection(ctx, s.db, b.Tenant, b.CorrectionID); err != nil {
			return b, err
		}
	}
	var stored memory.Bias
	err = s.inTxAgain(ctx, func(tx *database.Tx) error {
		stored, err = scanBias(tx.QueryRow(ctx, selectBiasByRequest, b.Tenant, b.RequestID))
		if err == nil && !stored.SameRequest(b) {
			return memory.RequestIDReused(b.RequestID)
		}
		if !errors.Is(err, database.ErrNoRows) {
			return err
		}
		if b.Regex {
			if _, err := lockScope(ctx, tx, b.Tenant, b.Place.Key()); err != nil { // two at once count one after the other
				return err
			}
			var have int
			if err := tx.QueryRow(ctx, countRegexBiases, b.Tenant, b.Place.Key()).Scan(&have); err != nil {
				return err
			}
			if have >= memory.MaxRegexBiases {
				return memory.TooManyRegexBiases(b.Scope)
			}
		}
		stored = b
		_, err = tx.Exec(ctx, insertBias, b.Tenant, b.ID, b.RequestID, string(b.Scope), b.Place.Key(), nullString(b.ConversationID), b.UserID, b.Model,
			b.Pattern, b.Anchor(), b.Sequence, b.Strength, nullMicros(b.Expires), nullString(b.CorrectionID), micros(b.Created),
			nullString(b.Then), b.Gap, flag(b.Regex), nullDuration(b.HalfLife))
		return err
	})
	return stored, err
}

// DeleteBias removes a bias.
func (s *Store) DeleteBias(ctx context.Context, tenant, id string) error {
	n, err := s.db.Exec(ctx, deleteBias, tenant, id)
	if err == nil && n == 0 {
		return memory.NotFound("bias", id)
	}
	return err
}

// BiasQuery asks for a page of biases, newest first (ids are in the order of creation), expired ones included.
type BiasQuery struct {
	Tenant         string
	ConversationID string // only those of this conversation; empty for all
	After          string // id of the last bias of the page before; empty for the first page
	Limit          int
}

const (
	selectBiases         = `SELECT ` + biasColumns + ` FROM tbl_l2_token_bias WHERE tenant = ?`
	biasesOfConversation = ` AND conversation_id = ?`
	biasesAfter          = ` AND bias_id < ?`
	biasesNewestFirst    = ` ORDER BY bias_id DESC LIMIT ?`
)

// Biases returns a page and whether there is another one after its last bias.
func (s *Store) Biases(ctx context.Context, q BiasQuery) (page []memory.Bias, more bool, err error) {
	if _, err := readNamedConversation(ctx, s.db, q.Tenant, q.ConversationID); err != nil {
		return nil, false, err
	}
	query, args := selectBiases, []any{q.Tenant}
	if q.ConversationID != "" {
		query, args = query+biasesOfConversation, append(args, q.ConversationID)
	}
	if q.After != "" {
		query, args = query+biasesAfter, append(args, q.After)
	}
	query, args = query+biasesNewestFirst, append(args, q.Limit+1)
	result, err := s.db.Query(ctx, query, args...)
	err = rows(result, err, func(row database.Scanner) error {
		b, err := scanBias(row)
		page = append(page, b)
		return err
	})
	if err != nil || len(page) <= q.Limit {
		return page, false, err
	}
	return page[:q.Limit], true, nil
}

package store

import (
	"context"

	"dbslm/pkg/database"
	"dbslm/services/ngram/decoding"
)

// Steering is what is stored about how a model is decoded.
type Steering struct {
	Profile string   // the parameters of a decode profile as JSON; "" for none
	Bans    []string // texts that the model must never produce
}

const selectSteering = `SELECT 0 AS kind, model_id, parameters FROM tbl_decode_hparams WHERE profile = ? AND model_id IN (0, ?)
UNION ALL SELECT 1, model_id, ban FROM tbl_decode_bans WHERE model_id IN (0, ?) ORDER BY 1, 2, 3`

// Steering reads a decode profile, the model's own before that for all models, and the bans of both, in one statement.
func (v *View) Steering(ctx context.Context, profile string) (s Steering, err error) {
	model := int64(v.Build.Model)
	err = v.reader.db.Stream(ctx, selectSteering, []any{profile, model, model}, func(row database.Row) error {
		if text := string(row.Bytes(2)); row.Int(0) == 0 {
			s.Profile = text
		} else {
			s.Bans = append(s.Bans, text)
		}
		return nil
	})
	return s, err
}

const selectCacheWeights = `SELECT model_id, tokens, weight FROM tbl_decode_cache_weights WHERE model_id IN (0, ?) ORDER BY model_id, tokens`

// CacheWeights returns the weight of the session cache by the tokens of the history, fewest first: the rows of the model, or
// those for all models where it has none.
func (v *View) CacheWeights(ctx context.Context) ([]decoding.CacheStep, error) {
	var steps []decoding.CacheStep
	all := true
	err := v.reader.db.Stream(ctx, selectCacheWeights, []any{int64(v.Build.Model)}, func(row database.Row) error {
		if own := row.Int(0) != 0; own && all {
			steps, all = nil, false
		}
		steps = append(steps, decoding.CacheStep{Tokens: int(row.Int(1)), Weight: row.Float(2)})
		return nil
	})
	return steps, err
}

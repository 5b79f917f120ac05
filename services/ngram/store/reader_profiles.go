package store

import (
	"context"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/ngram/decoding"
)

const selectProfile = `SELECT parameters FROM tbl_decode_hparams WHERE profile = ? AND model_id IN (0, ?) ORDER BY model_id DESC LIMIT 1`

// Profile returns the stored parameters of a decode profile as JSON, the model's own before those for all models.
// found is false when neither is stored.
func (v *View) Profile(ctx context.Context, name string) (parameters string, found bool, err error) {
	err = v.reader.db.QueryRow(ctx, selectProfile, name, int64(v.Build.Model)).Scan(&parameters)
	if errors.Is(err, database.ErrNoRows) {
		return "", false, nil
	}
	return parameters, err == nil, err
}

const selectBans = `SELECT ban FROM tbl_decode_bans WHERE model_id IN (0, ?) ORDER BY model_id, ban`

// Bans returns the texts that the model must never produce.
func (v *View) Bans(ctx context.Context) ([]string, error) {
	rows, err := v.reader.db.Query(ctx, selectBans, int64(v.Build.Model))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var bans []string
	for rows.Next() {
		var ban []byte
		if err := rows.Scan(&ban); err != nil {
			return nil, err
		}
		bans = append(bans, string(ban))
	}
	return bans, rows.Err()
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

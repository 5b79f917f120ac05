package store

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"dbslm/pkg/database"
	"dbslm/services/ngram/decoding"
)

// Steering is what is stored about how a model is decoded.
type Steering struct {
	Profile string   // the parameters of a decode profile as JSON; "" for none
	Bans    []string // texts that the model must never produce
	// CacheWeights are the weights of the session cache by the tokens of the history, fewest first: the rows of the model, or
	// those for all models where it has none.
	CacheWeights []decoding.CacheStep
}

// Numbers have columns of their own: a number that became a text on its way would be another one. The rows are put in order here:
// MariaDB would sort a union with long texts on the disk.
const selectSteering = `SELECT 0 AS kind, model_id, 0 AS tokens, 0e0 AS weight, parameters AS told FROM tbl_decode_hparams WHERE profile = ? AND model_id IN (0, ?)
UNION ALL SELECT 1, model_id, 0, 0e0, ban FROM tbl_decode_bans WHERE model_id IN (0, ?)
UNION ALL SELECT 2, model_id, tokens, weight, '' FROM tbl_decode_cache_weights WHERE model_id IN (0, ?)`

// Steering reads a decode profile, the model's own before that for all models, the bans of both, and the weights of the session
// cache, in one statement: every reply waits for it.
func (v *View) Steering(ctx context.Context, profile string) (s Steering, err error) {
	type ban struct {
		model int64
		text  string
	}
	var bans []ban
	var weights, own []decoding.CacheStep
	named := false
	model := int64(v.Build.Model)
	err = v.reader.db.Stream(ctx, selectSteering, []any{profile, model, model, model}, func(row database.Row) error {
		of, text := row.Int(1), string(row.Bytes(4))
		switch row.Int(0) {
		case 0:
			if of != 0 || !named {
				s.Profile, named = text, true
			}
		case 1:
			bans = append(bans, ban{of, text})
		default:
			step := decoding.CacheStep{Tokens: int(row.Int(2)), Weight: row.Float(3)}
			if of == 0 {
				weights = append(weights, step)
			} else {
				own = append(own, step)
			}
		}
		return nil
	})
	slices.SortFunc(bans, func(a, b ban) int { return cmp.Or(cmp.Compare(a.model, b.model), strings.Compare(a.text, b.text)) })
	for _, b := range bans {
		s.Bans = append(s.Bans, b.text)
	}
	if s.CacheWeights = own; len(own) == 0 {
		s.CacheWeights = weights
	}
	slices.SortFunc(s.CacheWeights, func(a, b decoding.CacheStep) int { return cmp.Compare(a.Tokens, b.Tokens) })
	return s, err
}

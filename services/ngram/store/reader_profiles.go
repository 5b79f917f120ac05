package store

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"dbslm/pkg/database"
	"dbslm/services/ngram"
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

// How it stands with a build that a name still has.
const andState = `
UNION ALL SELECT 3, 0, 0, 0e0, b.state FROM tbl_l1_model_names n JOIN tbl_l1_builds b ON b.tenant = n.tenant AND b.name = n.name
WHERE n.tenant = ? AND n.name = ? AND b.build_id = ?`

// OpenSteered is Open, and what steers a reply. Of a build that was named and is in memory both are read in one statement.
func (r *Reader) OpenSteered(ctx context.Context, tenant, model string, id ngram.BuildID, profile string) (*View, Steering, error) {
	loaded, known := r.builds.GetIfPresent(id)
	if id != 0 && known && loaded.Build.Tenant == tenant && loaded.Build.Name == model {
		state, steering, err := r.steering(ctx, loaded.Build.Model, profile, andState, tenant, model, int64(id))
		if err != nil {
			return nil, steering, err
		}
		if state == string(ngram.BuildReady) {
			r.local(ctx, loaded)
			return &View{loadedBuild: loaded, reader: r, table: loaded.residence.table.Load()}, steering, nil
		}
	}
	view, err := r.Open(ctx, tenant, model, id) // it knows what to say of a build that is not ready
	if err != nil {
		return nil, Steering{}, err
	}
	_, steering, err := r.steering(ctx, view.Build.Model, profile, "")
	return view, steering, err
}

// steering reads a decode profile, the model's own before that for all models, the bans of both, and the weights of the session
// cache, in one statement: every reply waits for it. More may be asked with it.
func (r *Reader) steering(ctx context.Context, of ngram.ModelID, profile, more string, args ...any) (state string, s Steering, err error) {
	type ban struct {
		model int64
		text  string
	}
	var bans []ban
	var weights, own []decoding.CacheStep
	named := false
	model := int64(of)
	err = r.db.Stream(ctx, selectSteering+more, append([]any{profile, model, model, model}, args...), func(row database.Row) error {
		of, text := row.Int(1), string(row.Bytes(4))
		switch row.Int(0) {
		case 0:
			if of != 0 || !named {
				s.Profile, named = text, true
			}
		case 1:
			bans = append(bans, ban{of, text})
		case 3:
			state = text
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
	return state, s, err
}

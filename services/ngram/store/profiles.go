package store

import (
	"context"
	"slices"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
)

// MaxBans bounds the bans of a model, those for all models included: each costs a little at every token.
const MaxBans = 1000

// Profile is a stored decode profile.
type Profile struct {
	Name       string
	Parameters string // JSON
	ForAll     bool   // not for one model but for all
}

// everyModel stands for all models where a model is named.
const everyModel = ngram.ModelID(0)

// decodeTables hold what is stored for decoding, by model; a new generation of a model begins with a copy.
var decodeTables = []struct{ table, columns string }{
	{"tbl_decode_hparams", "profile, parameters"},
	{"tbl_decode_bans", "ban"},
	{"tbl_decode_cache_weights", "tokens, weight"},
}

// generations returns the ids under which rows of a model stand, that of the generation in training first; model "" means
// all models, which only the default tenant speaks for.
func (s *Store) generations(ctx context.Context, tx *database.Tx, tenant, model string) ([]ngram.ModelID, error) {
	if model == "" {
		if tenant != ngram.DefaultTenant {
			return nil, errors.New(errors.InvalidArgument, "MODEL_MISSING", "name a model; only the default tenant sets what applies to all models").
				Field("model", "must name a model")
		}
		return []ngram.ModelID{everyModel}, nil
	}
	n, _, _, err := s.lockName(ctx, tx, tenant, model)
	if err != nil {
		return nil, err
	}
	ids := []ngram.ModelID{n.training}
	err = tx.Stream(ctx, selectLive, []any{tenant, model}, func(row database.Row) error {
		if id := ngram.ModelID(row.Int(0)); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
		return nil
	})
	return ids, err
}

// inherit gives a new generation what is stored for the one before it.
func inherit(ctx context.Context, tx *database.Tx, from, to ngram.ModelID) error {
	for _, t := range decodeTables {
		query := "INSERT INTO " + t.table + " (model_id, " + t.columns + ") SELECT ?, " + t.columns + " FROM " + t.table + " WHERE model_id = ?"
		if _, err := tx.Exec(ctx, query, int64(to), int64(from)); err != nil {
			return err
		}
	}
	return nil
}

// SetProfile stores a profile for a model, or for all where model is empty.
func (s *Store) SetProfile(ctx context.Context, tenant, model, name, parameters string) error {
	return s.db.InTx(ctx, func(tx *database.Tx) error {
		ids, err := s.generations(ctx, tx, tenant, model)
		if err != nil {
			return err
		}
		var rows [][]any
		for _, id := range ids {
			rows = append(rows, []any{int64(id), name, parameters})
		}
		columns := []string{"model_id", "profile", "parameters"}
		return tx.Upsert(ctx, "tbl_decode_hparams", columns, columns[:2], []database.Assign{{Column: "parameters"}}, rows)
	})
}

const deleteProfile = `DELETE FROM tbl_decode_hparams WHERE model_id = ? AND profile = ?`

// DeleteProfile removes a stored profile; NotFound when there is none.
func (s *Store) DeleteProfile(ctx context.Context, tenant, model, name string) error {
	return s.remove(ctx, tenant, model, deleteProfile, name, errors.New(errors.NotFound, "PROFILE_NOT_FOUND",
		"no decode profile %q is stored for %s; list them with: dbslm profiles", name, described(model)).Field("name", "must be a stored profile"))
}

func described(model string) string {
	if model == "" {
		return "all models"
	}
	return "model \"" + model + "\""
}

func (s *Store) remove(ctx context.Context, tenant, model, query string, key any, missing error) error {
	return s.db.InTx(ctx, func(tx *database.Tx) error {
		ids, err := s.generations(ctx, tx, tenant, model)
		if err != nil {
			return err
		}
		found := false
		for _, id := range ids {
			rows, err := tx.Exec(ctx, query, int64(id), key)
			if err != nil {
				return err
			}
			found = found || rows > 0
		}
		if !found {
			return missing
		}
		return nil
	})
}

const selectProfiles = `SELECT model_id, profile, parameters FROM tbl_decode_hparams WHERE model_id IN (0, ?) ORDER BY profile, model_id DESC`

// Profiles returns the profiles stored for a model and for all, by name, those of the model first.
func (s *Store) Profiles(ctx context.Context, tenant, model string) ([]Profile, error) {
	id, err := s.trainedUnder(ctx, tenant, model)
	if err != nil {
		return nil, err
	}
	var profiles []Profile
	err = s.db.Stream(ctx, selectProfiles, []any{int64(id)}, func(row database.Row) error {
		profiles = append(profiles, Profile{Name: string(row.Bytes(1)), Parameters: string(row.Bytes(2)), ForAll: ngram.ModelID(row.Int(0)) == everyModel})
		return nil
	})
	return profiles, err
}

func (s *Store) trainedUnder(ctx context.Context, tenant, model string) (ngram.ModelID, error) {
	if model == "" {
		return everyModel, nil
	}
	m, err := s.Model(ctx, tenant, model)
	return m.ID, err
}

// Ban is a stored ban.
type Ban struct {
	Text   string
	ForAll bool
}

const selectModelBans = `SELECT model_id, ban FROM tbl_decode_bans WHERE model_id IN (0, ?) ORDER BY model_id, ban`

// Bans returns the bans for all models and then those of the model.
func (s *Store) Bans(ctx context.Context, tenant, model string) ([]Ban, error) {
	id, err := s.trainedUnder(ctx, tenant, model)
	if err != nil {
		return nil, err
	}
	var bans []Ban
	err = s.db.Stream(ctx, selectModelBans, []any{int64(id)}, func(row database.Row) error {
		bans = append(bans, Ban{Text: string(row.Bytes(1)), ForAll: ngram.ModelID(row.Int(0)) == everyModel})
		return nil
	})
	return bans, err
}

const countBans = `SELECT COUNT(*) FROM tbl_decode_bans WHERE model_id IN (0, ?) AND ban <> ?`

// AddBan bans a text for a model, or for all where model is empty.
func (s *Store) AddBan(ctx context.Context, tenant, model, text string) error {
	return s.db.InTx(ctx, func(tx *database.Tx) error {
		ids, err := s.generations(ctx, tx, tenant, model)
		if err != nil {
			return err
		}
		var others int64
		if err := tx.QueryRow(ctx, countBans, int64(ids[0]), []byte(text)).Scan(&others); err != nil {
			return err
		}
		if others >= MaxBans {
			return errors.New(errors.FailedPrecondition, "TOO_MANY_BANS", "%s has %d bans, the most there may be; lift one first", described(model), MaxBans)
		}
		var rows [][]any
		for _, id := range ids {
			rows = append(rows, []any{int64(id), []byte(text)})
		}
		columns := []string{"model_id", "ban"}
		return tx.Upsert(ctx, "tbl_decode_bans", columns, columns, []database.Assign{{Column: "ban"}}, rows)
	})
}

const deleteBan = `DELETE FROM tbl_decode_bans WHERE model_id = ? AND ban = ?`

// RemoveBan lifts a ban; NotFound when there is none.
func (s *Store) RemoveBan(ctx context.Context, tenant, model, text string) error {
	return s.remove(ctx, tenant, model, deleteBan, []byte(text), errors.New(errors.NotFound, "BAN_NOT_FOUND",
		"%q is not banned for %s; list the bans with: dbslm bans", text, described(model)).Field("ban.text", "must be a stored ban"))
}

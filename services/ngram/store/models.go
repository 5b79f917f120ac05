package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/google/uuid"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/pkg/text"
	"dbslm/services/ngram"
)

// The states of a generation.
const (
	generationLive    = "live"    // trained, serving, or both
	generationRetired = "retired" // its rows are to be deleted
)

const insertGeneration = `INSERT INTO tbl_l1_models (model_id, tenant, name, state, max_order, tokenizer, tokenizer_parameters, normalization,
  unk_policy, counts_version, vocabulary_size, documents, sentences, tokens, request_id, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, 0, 0, 0, ?, ?)`

const insertName = `INSERT INTO tbl_l1_model_names (tenant, name, model_id, lease_until, created_at) VALUES (?, ?, ?, 0, ?)`

// CreateModel makes an empty model. If the name is taken, settings must agree with its own wherever they say something,
// and the existing model is returned; else AlreadyExists. Settings are completed with the defaults.
func (s *Store) CreateModel(ctx context.Context, tenant, name string, settings ngram.Settings) (ngram.Model, bool, error) {
	complete, err := canonical(settings.WithDefaults())
	if err == nil && (name == "" || padded(tenant) || padded(name)) {
		err = errors.New(errors.InvalidArgument, "MODEL_NAME_INVALID", "a model's name and tenant must not begin or end with white space; %q of %q does", name, tenant)
	}
	if err != nil {
		return ngram.Model{}, false, err
	}
	for attempt := 0; ; attempt++ {
		model, err := s.Model(ctx, tenant, name)
		if err == nil {
			if err := agree(model, settings, errors.AlreadyExists); err != nil {
				return ngram.Model{}, false, err
			}
			return model, false, nil
		}
		if errors.KindOf(err) != errors.NotFound {
			return ngram.Model{}, false, err
		}
		err = s.db.InTx(ctx, func(tx *database.Tx) error {
			id, err := s.newGeneration(ctx, tx, tenant, name, complete, "")
			if err != nil {
				return err
			}
			_, err = tx.Exec(ctx, insertName, tenant, name, int64(id), s.now())
			return err
		})
		switch {
		case err == nil:
			model, err := s.Model(ctx, tenant, name)
			return model, true, err
		case !database.IsDuplicate(err) || attempt == 3: // else somebody else made it, or was the first to count
			return ngram.Model{}, false, err
		}
	}
}

// padded says whether a name has white space at an end. MySQL compares text without trailing spaces, so such names are
// never given and never found.
func padded(name string) bool { return strings.TrimSpace(name) != name }

func notFound(name string) error {
	return errors.New(errors.NotFound, "MODEL_NOT_FOUND", "there is no model %q; train it, or list the models to see their names", name).With("model", name)
}

// canonical checks complete settings and spells the parameters of the tokeniser out, defaults included.
func canonical(settings ngram.Settings) (ngram.Settings, error) {
	if err := settings.Validate(); err != nil {
		return settings, err
	}
	tokenizer, err := text.NewTokenizer(string(settings.Tokenizer), settings.TokenizerParameters, text.Normalization(settings.Normalization))
	if err != nil {
		return settings, err
	}
	settings.TokenizerParameters = tokenizer.Parameters()
	return settings, nil
}

// agree says whether settings, where they are not zero, are those of the model; if not, an error of the given kind names
// the first that differs.
func agree(model ngram.Model, settings ngram.Settings, kind errors.Kind) error {
	have := model.Settings
	want, err := canonical(settings.WithDefaultsFrom(have))
	if err != nil {
		return err
	}
	differ := func(what string, has, wanted any) error {
		return errors.New(kind, "MODEL_SETTINGS_DIFFER",
			"model %q has the %s %v, not %v; use the same, another model name, or reset the model", model.Name, what, has, wanted).
			With("model", model.Name).With("setting", what)
	}
	switch {
	case have.Order != want.Order:
		return differ("order", have.Order, want.Order)
	case have.Tokenizer != want.Tokenizer:
		return differ("tokeniser", have.Tokenizer, want.Tokenizer)
	case have.TokenizerParameters != want.TokenizerParameters:
		return differ("tokeniser parameters", have.TokenizerParameters, want.TokenizerParameters)
	case have.Normalization != want.Normalization:
		return differ("normalisation", have.Normalization, want.Normalization)
	case have.UnkPolicy != want.UnkPolicy:
		return differ("policy for <unk>", have.UnkPolicy, want.UnkPolicy)
	}
	return nil
}

// selectFreeModel finds a gap in the numbers of generations, for stores that made 32,767 of them.
const selectFreeModel = `SELECT MIN(a.model_id) + 1 FROM tbl_l1_models a
LEFT JOIN tbl_l1_models b ON b.model_id = a.model_id + 1 WHERE b.model_id IS NULL`

// newGeneration begins a generation with its control tokens.
func (s *Store) newGeneration(ctx context.Context, tx *database.Tx, tenant, name string, settings ngram.Settings, requestID string) (ngram.ModelID, error) {
	number, err := nextNumber(ctx, tx, counterModel)
	if err != nil {
		return 0, err
	}
	if number > math.MaxInt16 {
		if err := tx.QueryRow(ctx, selectFreeModel).Scan(&number); err != nil {
			return 0, err
		}
		if number > math.MaxInt16 {
			return 0, errors.New(errors.ResourceExhausted, "TOO_MANY_MODELS", "a store holds at most %d models; delete some", math.MaxInt16)
		}
	}
	id := ngram.ModelID(number)
	_, err = tx.Exec(ctx, insertGeneration, number, tenant, name, generationLive, settings.Order, string(settings.Tokenizer),
		settings.TokenizerParameters, string(settings.Normalization), string(settings.UnkPolicy), int64(ngram.FirstWord), requestID, s.now())
	if err != nil {
		return 0, err
	}
	return id, loadWords(ctx, tx, id, 0, func(yield func(token string, control bool, count int64) error) error {
		for token := range ngram.FirstWord {
			if err := yield(ngram.ControlToken(token), true, 0); err != nil {
				return err
			}
		}
		return nil
	})
}

const selectModels = `SELECT n.tenant, n.name, n.published_build, n.lease_owner, n.lease_until, n.created_at,
  m.model_id, m.max_order, m.tokenizer, m.tokenizer_parameters, m.normalization, m.unk_policy,
  m.counts_version, m.vocabulary_size, m.documents, m.sentences, m.tokens,
  b.model_id, b.counts_version, p.max_order, p.tokenizer, p.tokenizer_parameters, p.normalization, p.unk_policy
FROM tbl_l1_model_names n
JOIN tbl_l1_models m ON m.model_id = n.model_id
LEFT JOIN tbl_l1_builds b ON b.build_id = n.published_build
LEFT JOIN tbl_l1_models p ON p.model_id = b.model_id
WHERE n.tenant = ? `

const (
	byName    = `AND n.name = ?`
	afterName = `AND n.name > ? ORDER BY n.name LIMIT ?`
)

const selectNGrams = `SELECT n, ngrams FROM tbl_l1_model_orders WHERE model_id = ? ORDER BY n`

// Model returns the model with that name, or NotFound.
func (s *Store) Model(ctx context.Context, tenant, name string) (ngram.Model, error) {
	var model ngram.Model
	err := s.db.InReadTx(ctx, func(tx *database.Tx) error {
		var err error
		model, err = s.readModel(ctx, tx, tenant, name)
		return err
	})
	return model, err
}

func (s *Store) readModel(ctx context.Context, tx *database.Tx, tenant, name string) (ngram.Model, error) {
	models, err := s.readModels(ctx, tx, selectModels+byName, tenant, name)
	if err != nil {
		return ngram.Model{}, err
	}
	if len(models) == 0 || padded(tenant) || padded(name) {
		return ngram.Model{}, notFound(name)
	}
	return models[0], nil
}

// Models returns up to limit models of the tenant whose names follow after, ordered by name.
func (s *Store) Models(ctx context.Context, tenant, after string, limit int) ([]ngram.Model, error) {
	var models []ngram.Model
	err := s.db.InReadTx(ctx, func(tx *database.Tx) error {
		var err error
		models, err = s.readModels(ctx, tx, selectModels+afterName, tenant, after, limit)
		return err
	})
	return models, err
}

func (s *Store) readModels(ctx context.Context, tx *database.Tx, query string, args ...any) ([]ngram.Model, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var models []ngram.Model
	for rows.Next() {
		var m ngram.Model
		var published, serving, servingVersion, servingOrder *int64
		var owner, tokenizer, parameters, normalization, policy *string
		var until, created int64
		err := rows.Scan(&m.Tenant, &m.Name, &published, &owner, &until, &created,
			&m.ID, &m.Settings.Order, &m.Settings.Tokenizer, &m.Settings.TokenizerParameters, &m.Settings.Normalization, &m.Settings.UnkPolicy,
			&m.CountsVersion, &m.TokenEnd, &m.Documents, &m.Sentences, &m.Tokens,
			&serving, &servingVersion, &servingOrder, &tokenizer, &parameters, &normalization, &policy)
		if err != nil {
			return nil, err
		}
		m.Created = toTime(created)
		m.Stale = true
		if published != nil && serving != nil {
			m.Published, m.Serving = ngram.BuildID(*published), ngram.ModelID(*serving)
			m.Stale = m.Serving != m.ID || *servingVersion != m.CountsVersion
		}
		if servingOrder != nil {
			m.ServingSettings = ngram.Settings{
				Order: int(*servingOrder), Tokenizer: ngram.Tokenizer(*tokenizer), TokenizerParameters: *parameters,
				Normalization: ngram.Normalization(*normalization), UnkPolicy: ngram.UnkPolicy(*policy),
			}
		}
		if owner != nil && until > s.now() {
			m.TrainingBy = *owner
		}
		models = append(models, m)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for i := range models {
		models[i].NGrams = make([]int64, models[i].Settings.Order)
		if models[i].VocabularySize = int64(ngram.FirstWord); models[i].CountsVersion == 0 { // perhaps imported without counts
			models[i].VocabularySize = models[i].TokenEnd
		}
		err := tx.Stream(ctx, selectNGrams, []any{int64(models[i].ID)}, func(row database.Row) error {
			if n := int(row.Int(0)); n <= len(models[i].NGrams) {
				models[i].NGrams[n-1] = row.Int(1)
			}
			if words := row.Int(1) - 1; row.Int(0) == 1 && words > 0 && models[i].CountsVersion > 0 { // the unigrams are words and </s>
				models[i].VocabularySize += words
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return models, nil
}

const (
	lockName = `SELECT model_id, published_build, lease_owner, lease_until FROM tbl_l1_model_names WHERE tenant = ? AND name = ?`

	selectRequest    = `SELECT request_id FROM tbl_l1_models WHERE model_id = ?`
	pointTraining    = `UPDATE tbl_l1_model_names SET model_id = ? WHERE tenant = ? AND name = ?`
	deleteName       = `DELETE FROM tbl_l1_model_names WHERE tenant = ? AND name = ?`
	selectLive       = `SELECT model_id FROM tbl_l1_models WHERE tenant = ? AND name = ? AND state = 'live' ORDER BY model_id`
	retire           = `UPDATE tbl_l1_models SET state = 'retired', retired_at = ? WHERE model_id = ?`
	dropAllOf        = `UPDATE tbl_l1_builds SET state = 'dropped', swept = 1 WHERE model_id = ? AND tenant = ? AND name = ?`
	selectGeneration = `SELECT model_id FROM tbl_l1_builds WHERE build_id = ?`
)

// name is the locked row of a model's name.
type name struct {
	training  ngram.ModelID
	published ngram.BuildID
}

// lockFree locks the name of a model that nobody trains, or only a process of this machine that is dead; Aborted while somebody
// does.
func (s *Store) lockFree(ctx context.Context, tx *database.Tx, tenant, model string) (name, error) {
	n, holder, until, err := s.lockName(ctx, tx, tenant, model)
	if err == nil && until > s.now() {
		var died bool
		if died, err = s.holderDied(ctx, tx, tenant, model); err == nil && !died {
			err = s.held(model, holder, until)
		}
	}
	return n, err
}

func (s *Store) lockName(ctx context.Context, tx *database.Tx, tenant, model string) (n name, holder string, until int64, err error) {
	var owner *string
	var published *int64
	err = tx.QueryRow(ctx, lockName+tx.Dialect().ForUpdate(), tenant, model).Scan(&n.training, &published, &owner, &until)
	if errors.Is(err, database.ErrNoRows) || err == nil && (padded(tenant) || padded(model)) {
		err = notFound(model)
	}
	if published != nil {
		n.published = ngram.BuildID(*published)
	}
	if owner != nil {
		holder = *owner
	}
	return n, holder, until, err
}

// ResetModel begins a new, empty generation under the name, with the settings of the one before where settings are zero.
// The published build serves on until a build of the new generation is published. With a request id that made the present
// generation, nothing happens.
func (s *Store) ResetModel(ctx context.Context, tenant, model string, settings ngram.Settings, requestID string) (ngram.Model, error) {
	before, err := s.Model(ctx, tenant, model)
	if err != nil {
		return ngram.Model{}, err
	}
	settings, err = canonical(settings.WithDefaultsFrom(before.Settings))
	if err != nil {
		return ngram.Model{}, err
	}
	if requestID == "" {
		requestID = uuid.NewString()
	}
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		n, err := s.lockFree(ctx, tx, tenant, model)
		if err != nil {
			return err
		}
		var madeBy string
		if err := tx.QueryRow(ctx, selectRequest, int64(n.training)).Scan(&madeBy); err != nil || madeBy == requestID {
			return err
		}
		fresh, err := s.newGeneration(ctx, tx, tenant, model, settings, requestID)
		if err != nil {
			return err
		}
		if err := inherit(ctx, tx, n.training, fresh); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, pointTraining, int64(fresh), tenant, model); err != nil {
			return err
		}
		return s.retireOthers(ctx, tx, tenant, model, fresh, n.published)
	})
	if err != nil {
		return ngram.Model{}, err
	}
	return s.Model(ctx, tenant, model)
}

// DeleteModel removes the name at once; the rows go later, in bounded batches.
func (s *Store) DeleteModel(ctx context.Context, tenant, model string) error {
	err := s.db.InTx(ctx, func(tx *database.Tx) error {
		if _, err := s.lockFree(ctx, tx, tenant, model); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, deleteName, tenant, model); err != nil {
			return err
		}
		if err := forgetEvaluations(ctx, tx, tenant, model); err != nil {
			return err
		}
		for _, query := range []string{deleteHeldOut, deletePolicy, deleteHolder} {
			if _, err := tx.Exec(ctx, query, tenant, model); err != nil {
				return err
			}
		}
		return s.retireOthers(ctx, tx, tenant, model, 0, 0)
	})
	if err == nil {
		s.options.Served(ctx)
	}
	return err
}

// retireOthers retires every live generation of the name but the one that is trained and that of the build that serves.
// Their builds are dropped first, so that a request that still reads one finds out (Reader: View.Verify).
func (s *Store) retireOthers(ctx context.Context, tx *database.Tx, tenant, model string, training ngram.ModelID, published ngram.BuildID) error {
	keep := []int64{int64(training)}
	if published != 0 {
		var serving int64
		if err := tx.QueryRow(ctx, selectGeneration, int64(published)).Scan(&serving); err != nil {
			return err
		}
		keep = append(keep, serving)
	}
	var live []int64
	err := tx.Stream(ctx, selectLive, []any{tenant, model}, func(row database.Row) error {
		live = append(live, row.Int(0))
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range live {
		if slices.Contains(keep, id) {
			continue
		}
		if _, err := tx.Exec(ctx, dropAllOf, id, tenant, model); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, retire, s.now(), id); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) held(model, holder string, until int64) error {
	wait := toTime(until).Sub(s.options.Clock())
	return errors.New(errors.Aborted, "MODEL_IN_TRAINING", "model %q is being trained by %s, which holds it until %s unless it goes on; wait for it to end, or, if it was killed, try again after that time",
		model, holder, toTime(until).Format("15:04:05 MST")).
		With("model", model).With("trainer", holder).With("held_until", fmt.Sprint(toTime(until).Format("2006-01-02T15:04:05Z07:00"))).RetryAfter(wait)
}

package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/pkg/text"
	"dbslm/services/ngram"
	"dbslm/services/ngram/spill"
)

const (
	takeLease    = `UPDATE tbl_l1_model_names SET lease_owner = ?, lease_token = ?, lease_until = ? WHERE tenant = ? AND name = ?`
	renewLease   = `UPDATE tbl_l1_model_names SET lease_until = ? WHERE tenant = ? AND name = ? AND lease_token = ?`
	releaseLease = `UPDATE tbl_l1_model_names SET lease_owner = NULL, lease_token = NULL, lease_until = 0 WHERE tenant = ? AND name = ? AND lease_token = ?`
)

// Trainer is the one who may change a model. It belongs to one goroutine.
//
// The lease keeps two trainers apart in time; that their counts can never mix, even if one of them slept through the end
// of its lease, is due to the transactions: each counts on from the counts_version it knows, or fails.
type Trainer struct {
	store     *Store
	model     ngram.Model
	tokenizer text.Tokenizer
	words     *words // nil until the first text is counted
	space     *spill.Space
	windows   int // n-gram events of a transaction
	pending   []*incoming
	waiting   int // bytes of text in pending
	pauseAt   time.Time
	probing   *Probing // nil for not at all
	hidden    bool     // the generation is being imported and has no name yet
	immediate bool     // rows of counts and builds stay written when their transaction fails
}

// Train runs f as the only trainer of the model. While somebody else trains it, Aborted says who and until when. The context
// of f ends when the lease is lost. owner is what others are shown.
func (s *Store) Train(ctx context.Context, tenant, model, owner string, f func(ctx context.Context, t *Trainer) error) (err error) {
	token := uuid.NewString()
	s.leases.Store(token, nil)
	defer s.leases.Delete(token) // and if giving the lease back failed, whoever asks this process finds it free
	t := &Trainer{store: s}
	t.Within(0)
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		n, err := s.lockFree(ctx, tx, tenant, model)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, takeLease, owner, token, s.now()+s.options.LeaseTime.Microseconds(), tenant, model); err != nil {
			return err
		}
		if err := s.noteHolder(ctx, tx, tenant, model, token); err != nil {
			return err
		}
		t.model, err = s.readModel(ctx, tx, tenant, model)
		t.model.ID = n.training
		return err
	})
	if err != nil {
		return err
	}
	settings := t.model.Settings
	t.tokenizer, err = text.NewTokenizer(string(settings.Tokenizer), settings.TokenizerParameters, text.Normalization(settings.Normalization))
	if err != nil {
		err = errors.Wrap(err, errors.Internal, "TOKENIZER_UNKNOWN", "this version has no tokeniser %q with the parameters of model %q", settings.Tokenizer, model)
	} else {
		lost := make(chan struct{})
		held, cancel := context.WithCancelCause(ctx)
		go s.keep(held, cancel, lost, tenant, model, token)
		if err = t.takeOver(held); err == nil {
			err = f(held, t)
		}
		if cause := context.Cause(held); err != nil && errors.ReasonOf(cause) == reasonLeaseLost {
			err = cause
		}
		cancel(nil)
		<-lost
	}
	// The lease is given back even if the caller has gone: the next trainer need not wait for it to run out.
	releasing, stop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer stop()
	if _, releaseErr := s.db.Exec(releasing, releaseLease, tenant, model, token); releaseErr != nil {
		s.options.Logger.WarnContext(ctx, "giving a model back failed; it is free when its lease runs out", "model", model, "error", releaseErr)
	}
	return err
}

// takeOver completes and clears away what a killed training left.
func (t *Trainer) takeOver(ctx context.Context) (err error) {
	if t.immediate, err = t.store.immediate(ctx); err != nil {
		return err
	}
	if err := t.store.settle(ctx, t.model.ID); err != nil {
		return err
	}
	return t.discardUnreceived(ctx)
}

// discardUnreceived removes texts that a killed training received in part. They were never acknowledged.
func (t *Trainer) discardUnreceived(ctx context.Context) error {
	for _, read := range []func(context.Context, database.Querier, ngram.ModelID, string, ...any) ([]stored, error){readDocuments, readAside} {
		documents, err := read(ctx, t.store.db, t.model.ID, byState, string(ngram.DocumentReceiving))
		if err != nil {
			return err
		}
		for _, d := range documents {
			if err := t.store.discard(ctx, t.model.ID, d.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

const reasonLeaseLost = "TRAINING_LEASE_LOST"

// keep renews the lease until its context ends. Only somebody else's token ends the hold: where a renewal cannot be written, because
// the training's own transaction holds an embedded store or the database is away, nobody else can have taken the model either.
func (s *Store) keep(ctx context.Context, cancel context.CancelCauseFunc, done chan<- struct{}, tenant, model, token string) {
	defer close(done)
	every := time.NewTicker(s.options.LeaseTime / 4)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		matched, err := s.db.Exec(ctx, renewLease, s.now()+s.options.LeaseTime.Microseconds(), tenant, model, token)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && matched == 1:
		case err == nil:
			cancel(errors.New(errors.Aborted, reasonLeaseLost,
				"the hold on model %q was lost, so its training stopped; what was acknowledged is kept, start the training again", model).With("model", model))
			return
		default:
			s.options.Logger.WarnContext(ctx, "renewing the hold on a model failed", "model", model, "error", err)
		}
	}
}

// Model returns the model as it was when the trainer took it, with the totals of what it counted since.
func (t *Trainer) Model() ngram.Model { return t.model }

// Countable refuses a model that was imported without counts, as FailedPrecondition.
func (t *Trainer) Countable() error { return countable(t.model) }

// countable refuses a model without counts: there is nothing that text could be added to, taken from or derived from.
func countable(model ngram.Model) error {
	if model.Counted() {
		return nil
	}
	return errors.New(errors.FailedPrecondition, "MODEL_WITHOUT_COUNTS",
		"model %q was imported from a file of probabilities and has no counts, so it cannot be trained, forget a text or be built again; train another model, or reset this one", model.Name).
		With("model", model.Name)
}

// DefaultMemory is what a training takes unless it is told otherwise, in bytes.
const DefaultMemory = 512 << 20

// Within bounds the memory that counting and builds take, in bytes, beside the vocabulary and what the database takes; 0 means
// DefaultMemory. Counting goes by smaller transactions; what a build keeps of two orders is in a temporary file as far as it
// exceeds a third. Pruning keeps more.
func (t *Trainer) Within(memory int64) {
	if memory <= 0 {
		memory = DefaultMemory
	}
	t.space = spill.New(memory / 3)
	t.windows = int(min(int64(t.store.options.BatchWindows), max(memory/windowBytes, 1)))
}

// windowBytes is about what an n-gram event takes while it is counted, twice: what is collected may be as much as what is used.
const windowBytes = 160

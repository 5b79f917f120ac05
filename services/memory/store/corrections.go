package store

import (
	"context"
	"slices"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/memory"
	"dbslm/services/memory/folding"
)

const correctionColumns = `tenant, correction_id, COALESCE(request_id, '') AS request, scope, COALESCE(conversation_id, '') AS conversation, user_id, model,
  COALESCE(error_message_id, '') AS error_message, COALESCE(correction_message_id, '') AS correction_message, error_context, corrected_fact_json, subject,
  COALESCE(superseded_by, '') AS successor, COALESCE(superseded_at, 0) AS superseded, COALESCE(revoked_at, 0) AS revoked, revoke_reason, recorded_by, created_at, version,
  COALESCE(cue, '') AS cue_text, COALESCE(times, 1) AS times_told, COALESCE(origin, '') AS origin_name, COALESCE(reviewed_by, '') AS reviewer,
  COALESCE(asked_by, '') AS asker, COALESCE(asked_in, '') AS asked`

func scanCorrection(row database.Scanner, more ...any) (memory.Correction, error) {
	var k memory.Correction
	var fact string
	var superseded, revoked, created int64
	err := row.Scan(append(more, &k.Tenant, &k.ID, &k.RequestID, &k.Scope, &k.ConversationID, &k.UserID, &k.Model,
		&k.ErrorMessageID, &k.CorrectionMessageID, &k.ErrorContext, &fact, &k.Subject,
		&k.SupersededBy, &superseded, &revoked, &k.RevokeReason, &k.RecordedBy, &created, &k.Version,
		&k.Cue, &k.Times, &k.Origin, &k.ReviewedBy, &k.AskedBy, &k.AskedIn)...)
	if err != nil {
		return k, err
	}
	k.Superseded, k.Revoked, k.Created = fromMicros(superseded), fromMicros(revoked), fromMicros(created)
	if k.Fact, err = memory.ParseCorrectedFact(fact); err != nil {
		return k, memory.StoredValue(err, "correction", k.ID)
	}
	return k, nil
}

const (
	selectCorrection          = `SELECT ` + correctionColumns + ` FROM tbl_l2_correction_log WHERE tenant = ? AND correction_id = ?`
	selectCorrectionByRequest = `SELECT ` + correctionColumns + ` FROM tbl_l2_correction_log WHERE tenant = ? AND request_id = ?`
	selectCorrectionActive    = `SELECT ` + correctionColumns + ` FROM tbl_l2_correction_log WHERE tenant = ? AND active_key = ?`
	selectSuperseded          = `SELECT correction_id FROM tbl_l2_correction_log WHERE tenant = ? AND superseded_by = ? AND superseded_at = ?`
	insertCorrection          = `INSERT INTO tbl_l2_correction_log (tenant, correction_id, request_id, scope, scope_key, conversation_id, user_id, model,
  error_message_id, correction_message_id, error_context, error_context_pattern, corrected_fact_json, subject, active, active_key, revoke_reason, recorded_by, created_at, version,
  cue, times, origin, reviewed_by, asked_by, asked_in)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, '', ?, ?, 1, ?, ?, ?, ?, ?, ?)`
	endCorrection = `UPDATE tbl_l2_correction_log SET active = 0, active_key = NULL, superseded_by = ?, superseded_at = ?, revoked_at = ?, revoke_reason = ?, version = ?
WHERE tenant = ? AND correction_id = ? AND version = ?`
	countCorrection = `UPDATE tbl_l2_conversations SET active_corrections = active_corrections + ? WHERE tenant = ? AND conversation_id = ?`
)

// RecordCorrection stores a correction that memory.Correction.Complete has accepted and supersedes, in the same transaction,
// the active one of its scope and subject. It returns the stored correction and the ids of those it superseded. The same
// request id returns what it stored before.
func (s *Store) RecordCorrection(ctx context.Context, k memory.Correction, now time.Time) (memory.Correction, []string, error) {
	var err error
	if k.ID, err = newID(); err != nil {
		return k, nil, err
	}
	named, err := readNamedConversation(ctx, s.db, k.Tenant, k.ConversationID)
	if err != nil {
		return k, nil, err
	}
	if k.Place, err = completePlace(k.Place, named); err != nil {
		return k, nil, err
	}
	if k.RecordedBy == "" {
		k.RecordedBy = recorder(k, named)
	}
	var superseded []string
	var stored memory.Correction
	err = s.inTxAgain(ctx, func(tx *database.Tx) error {
		stored, superseded = k, nil
		lastAt, err := lockScope(ctx, tx, k.Tenant, k.Place.Key())
		if err != nil {
			return err
		}
		earlier, err := scanCorrection(tx.QueryRow(ctx, selectCorrectionByRequest, k.Tenant, k.RequestID))
		if err == nil {
			stored = earlier
			superseded, err = repeatedCorrection(ctx, tx, earlier, k)
			return err
		}
		if !errors.Is(err, database.ErrNoRows) {
			return err
		}
		reply := ""
		if k.ErrorMessageID != "" || k.CorrectionMessageID != "" {
			if err := checkMessages(ctx, tx, k.Tenant, k.ConversationID, k.ErrorMessageID, k.CorrectionMessageID); err != nil {
				return err
			}
			var question string
			if question, reply, err = questionBefore(ctx, tx, k); err != nil {
				return err
			}
			if question != "" {
				stored = stored.WithCue(question, named.UserID)
			}
		}
		if stored, err = placeAmong(ctx, tx, stored, named, reply); err != nil {
			return err
		}
		stored, superseded, err = supersedeAndAdd(ctx, tx, stored, lastAt, now)
		return err
	})
	return stored, superseded, err
}

// supersedeAndAdd stores a new correction of a locked scope, whose latest entry is of lastAt, and ends the active one of its subject.
func supersedeAndAdd(ctx context.Context, tx *database.Tx, k memory.Correction, lastAt int64, now time.Time) (_ memory.Correction, superseded []string, err error) {
	if k.Created, err = stampScope(ctx, tx, k.Tenant, k.Place.Key(), lastAt, now); err != nil {
		return k, nil, err
	}
	k.Version, k.Times = 1, 1
	counts := counter{}
	key := memory.ActiveKey(k.Place, k.Subject)
	former, err := scanCorrection(tx.QueryRow(ctx, selectCorrectionActive, k.Tenant, key))
	switch {
	case err == nil && k.Imported() && !former.Imported(): // what comes from elsewhere never outranks what was said here
		k, err = addOutranked(ctx, tx, k, former)
		return k, nil, err
	case err == nil:
		if k.Repeats(former) {
			k.Times = former.Times + 1
		}
		k = k.Inherits(former)
		if err := endOne(ctx, tx, former, former.Supersede(k.ID, k.Created), counts); err != nil {
			return k, nil, err
		}
		superseded = append(superseded, former.ID)
	case !errors.Is(err, database.ErrNoRows):
		return k, nil, err
	}
	// The counter first: the insert's foreign key takes a shared lock on the conversation, and two transactions that both
	// held one could not both go on to change it.
	counts[k.ConversationID]++
	if err := counts.write(ctx, tx, k.Tenant); err != nil {
		return k, nil, err
	}
	return k, superseded, addCorrection(ctx, tx, k, key)
}

// addOutranked keeps a correction from elsewhere whose subject an active one of this store has: superseded by it at once.
func addOutranked(ctx context.Context, tx *database.Tx, k, by memory.Correction) (memory.Correction, error) {
	counts := counter{k.ConversationID: 1}
	if err := addCorrection(ctx, tx, k, k.ID); err != nil { // its own id as the key, until it ends with the next statement
		return k, err
	}
	after := k.Supersede(by.ID, k.Created)
	if err := endOne(ctx, tx, k, after, counts); err != nil {
		return k, err
	}
	return after, counts.write(ctx, tx, k.Tenant)
}

func recorder(k memory.Correction, named *memory.Conversation) string {
	switch {
	case named != nil:
		return named.UserID
	case k.UserID != "":
		return k.UserID
	}
	return memory.DefaultUserID
}

// repeatedCorrection checks that a request came again unchanged and returns what it superseded then.
func repeatedCorrection(ctx context.Context, tx *database.Tx, earlier, again memory.Correction) (superseded []string, err error) {
	if !earlier.SameRequest(again) {
		return nil, memory.RequestIDReused(again.RequestID)
	}
	result, err := tx.Query(ctx, selectSuperseded, earlier.Tenant, earlier.ID, micros(earlier.Created))
	err = rows(result, err, func(row database.Scanner) error {
		var id string
		err := row.Scan(&id)
		superseded = append(superseded, id)
		return err
	})
	return superseded, err
}

func addCorrection(ctx context.Context, tx *database.Tx, k memory.Correction, activeKey string) error {
	fact, err := k.Fact.JSON()
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, insertCorrection, k.Tenant, k.ID, nullString(k.RequestID), string(k.Scope), k.Place.Key(), nullString(k.ConversationID), k.UserID, k.Model,
		nullString(k.ErrorMessageID), nullString(k.CorrectionMessageID), k.ErrorContext, folding.LikePattern(k.Key().Phrase()), fact, k.Subject, activeKey,
		k.RecordedBy, micros(k.Created), nullString(k.Cue), k.Times, nullString(k.Origin), nullString(k.ReviewedBy),
		nullString(k.AskedBy), nullString(k.AskedIn))
	if err != nil {
		return err
	}
	return fileCorrection(ctx, tx, k, k.Terms())
}

// endOne stores the end of an active correction of a locked scope.
func endOne(ctx context.Context, tx *database.Tx, before, after memory.Correction, counts counter) error {
	n, err := tx.Exec(ctx, endCorrection, nullString(after.SupersededBy), nullMicros(after.Superseded), nullMicros(after.Revoked), after.RevokeReason, after.Version,
		after.Tenant, after.ID, before.Version)
	if err != nil {
		return err
	}
	if n != 1 {
		return memory.ChangedMeanwhile("correction", after.ID)
	}
	counts[after.ConversationID]--
	return unfileCorrection(ctx, tx, after)
}

// counter gathers by how much each conversation's number of active corrections changes.
type counter map[string]int64

// write stores the changes, in the order in which every transaction takes these locks.
func (c counter) write(ctx context.Context, tx *database.Tx, tenant string) error {
	ids := make([]string, 0, len(c))
	for id, change := range c {
		if id != "" && change != 0 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		if _, err := tx.Exec(ctx, countCorrection, c[id], tenant, id); err != nil {
			return err
		}
	}
	return nil
}

// Correction returns one correction.
func (s *Store) Correction(ctx context.Context, tenant, id string) (memory.Correction, error) {
	return readCorrection(ctx, s.db, tenant, id)
}

func readCorrection(ctx context.Context, q database.Querier, tenant, id string) (memory.Correction, error) {
	k, err := scanCorrection(q.QueryRow(ctx, selectCorrection, tenant, id))
	if errors.Is(err, database.ErrNoRows) {
		return k, memory.NotFound("correction", id)
	}
	return k, err
}

// withCorrection runs f on a correction under its scope's lock. Which scope that is never changes, so it is looked up before.
func (s *Store) withCorrection(ctx context.Context, tenant, id string, f func(tx *database.Tx, k memory.Correction, lastAt int64) error) error {
	k, err := readCorrection(ctx, s.db, tenant, id)
	if err != nil {
		return err
	}
	return s.db.InTx(ctx, func(tx *database.Tx) error {
		lastAt, err := lockScope(ctx, tx, tenant, k.Place.Key())
		if err != nil {
			return err
		}
		current, err := readCorrection(ctx, tx, tenant, id)
		if err != nil {
			return err
		}
		return f(tx, current, lastAt)
	})
}

// PromoteCorrection records an active correction in a wider scope, after review, and leaves the narrower one as it is. to names
// the scope and, for scope model, the model. Promoting it again to the same place returns what was recorded, as long as that holds;
// what was promoted and has ended since is recorded anew.
func (s *Store) PromoteCorrection(ctx context.Context, tenant, id string, to memory.Place, reviewedBy string, now time.Time) (memory.Correction, error) {
	k, err := readCorrection(ctx, s.db, tenant, id)
	if err != nil {
		return k, err
	}
	named, err := readNamedConversation(ctx, s.db, tenant, k.ConversationID)
	if err != nil {
		return k, err
	}
	if to, err = completePlace(to, named); err != nil {
		return k, err
	}
	newest, err := newID()
	if err != nil {
		return k, err
	}
	var wide memory.Correction
	err = s.inTxAgain(ctx, func(tx *database.Tx) error {
		if _, err := lockScope(ctx, tx, tenant, k.Place.Key()); err != nil { // the narrower scope first
			return err
		}
		lastAt, err := lockScope(ctx, tx, tenant, to.Key())
		if err != nil {
			return err
		}
		current, err := readCorrection(ctx, tx, tenant, id)
		if err != nil {
			return err
		}
		if wide, err = current.Promote(to, reviewedBy); err != nil {
			return err
		}
		wide.ID = newest
		earlier, err := promotions(ctx, tx, tenant, id, to)
		if err != nil {
			return err
		}
		if n := len(earlier); n > 0 && earlier[n-1].Active() {
			wide = earlier[n-1]
			return nil
		}
		wide.RequestID = memory.PromotionID(to, id, len(earlier))
		wide, _, err = supersedeAndAdd(ctx, tx, wide, lastAt, now)
		return err
	})
	return wide, err
}

// promotions returns what a correction was promoted to in a place, in order: all but the last one ended.
func promotions(ctx context.Context, q database.Querier, tenant, id string, to memory.Place) (all []memory.Correction, err error) {
	for {
		k, err := scanCorrection(q.QueryRow(ctx, selectCorrectionByRequest, tenant, memory.PromotionID(to, id, len(all))))
		if errors.Is(err, database.ErrNoRows) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, k)
	}
}

// SupersedeCorrection ends an active correction in favour of another active one of the same scope. Since the other is active
// and not the same, no chain of successors ever leads back.
func (s *Store) SupersedeCorrection(ctx context.Context, tenant, id, byID string, now time.Time) (k memory.Correction, err error) {
	err = s.withCorrection(ctx, tenant, id, func(tx *database.Tx, current memory.Correction, lastAt int64) error {
		k = current
		by, err := readCorrection(ctx, tx, tenant, byID)
		switch {
		case err != nil:
			return err
		case current.SupersededBy == by.ID:
			return nil
		case current.ID == by.ID:
			return memory.Invalid("by_correction_id", "a correction cannot supersede itself")
		case !current.Active():
			return memory.CorrectionHasEnded(current)
		case by.Place.Key() != current.Place.Key():
			return memory.OtherScope(current, by)
		case !by.Active():
			return memory.CorrectionHasEnded(by)
		}
		k = current.Supersede(by.ID, fromMicros(max(micros(now), lastAt)))
		counts := counter{}
		if err := endOne(ctx, tx, current, k, counts); err != nil {
			return err
		}
		return counts.write(ctx, tx, tenant)
	})
	return k, err
}

// RevokeCorrection ends an active correction. A revoked one is returned as it is; a superseded one is FailedPrecondition.
func (s *Store) RevokeCorrection(ctx context.Context, tenant, id, reason string, now time.Time) (k memory.Correction, err error) {
	err = s.withCorrection(ctx, tenant, id, func(tx *database.Tx, current memory.Correction, lastAt int64) error {
		k = current
		switch {
		case !current.Revoked.IsZero():
			return nil
		case !current.Active():
			return memory.CorrectionHasEnded(current)
		}
		k = current.Revoke(reason, fromMicros(max(micros(now), lastAt)))
		counts := counter{}
		if err := endOne(ctx, tx, current, k, counts); err != nil {
			return err
		}
		return counts.write(ctx, tx, tenant)
	})
	return k, err
}

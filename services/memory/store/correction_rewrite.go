package store

import (
	"context"

	"dbslm/pkg/database"
	"dbslm/services/memory"
	"dbslm/services/memory/folding"
)

// What a correction says is never rewritten, but what was forgotten or erased is taken out of it.

const (
	rewriteCorrection = `UPDATE tbl_l2_correction_log SET conversation_id = ?, error_message_id = ?, correction_message_id = ?, error_context = ?,
  error_context_pattern = ?, corrected_fact_json = ?, subject = ?, revoke_reason = ?, recorded_by = ?, cue = ?, asked_by = ?, asked_in = ?, version = ?
WHERE tenant = ? AND correction_id = ?`
	findCorrectionsMadeIn  = `SELECT correction_id FROM tbl_l2_correction_log WHERE tenant = ? AND conversation_id = ? LIMIT ?`
	findCorrectionsAskedIn = `SELECT correction_id FROM tbl_l2_correction_log WHERE tenant = ? AND asked_in = ? LIMIT ?`
)

// writeRewritten stores what is left of a correction of a locked scope and files it anew under its words. One that ends by it,
// because too little is left, is revoked.
func writeRewritten(ctx context.Context, tx *database.Tx, before, after memory.Correction) error {
	if before.Active() {
		if err := unfileCorrection(ctx, tx, before); err != nil {
			return err
		}
	}
	fact, err := after.Fact.JSON()
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, rewriteCorrection, nullString(after.ConversationID), nullString(after.ErrorMessageID), nullString(after.CorrectionMessageID), after.ErrorContext,
		folding.LikePattern(after.Key().Phrase()), fact, after.Subject, after.RevokeReason, after.RecordedBy, nullString(after.Cue), nullString(after.AskedBy), nullString(after.AskedIn),
		after.Version, after.Tenant, after.ID)
	switch {
	case err != nil || !before.Active():
		return err
	case after.Active():
		return fileCorrection(ctx, tx, after, after.Terms())
	}
	counts := counter{after.ConversationID: -1}
	if err := counts.write(ctx, tx, after.Tenant); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, endCorrection, nil, nil, nullMicros(after.Revoked), after.RevokeReason, after.Version, after.Tenant, after.ID, after.Version)
	return err
}

// lockCorrections locks the scope of each correction and returns it as it is then.
func lockCorrections(ctx context.Context, tx *database.Tx, tenant string, ids []string) ([]memory.Correction, error) {
	locked := make([]memory.Correction, 0, len(ids))
	for _, id := range ids {
		k, err := readCorrection(ctx, tx, tenant, id)
		if err != nil {
			return nil, err
		}
		if _, err := lockScope(ctx, tx, tenant, k.Place.Key()); err != nil {
			return nil, err
		}
		if k, err = readCorrection(ctx, tx, tenant, id); err != nil {
			return nil, err
		}
		locked = append(locked, k)
	}
	return locked, nil
}

// leave returns what takes corrections of wider scopes out of a conversation that goes.
func leave(conversation string) func(ctx context.Context, tx *database.Tx, tenant string, ids []string) (int64, error) {
	return func(ctx context.Context, tx *database.Tx, tenant string, ids []string) (int64, error) {
		corrections, err := lockCorrections(ctx, tx, tenant, ids)
		if err != nil {
			return 0, err
		}
		for _, k := range corrections {
			if err := writeRewritten(ctx, tx, k, k.WithoutConversation(conversation)); err != nil {
				return 0, err
			}
		}
		return int64(len(ids)), nil
	}
}

// allLeave takes all of them out in one transaction.
func allLeave(ctx context.Context, tx *database.Tx, tenant, conversation string) error {
	for _, find := range []string{findCorrectionsMadeIn, findCorrectionsAskedIn} {
		for {
			ids, err := readIDs(ctx, tx, find, tenant, conversation, eraseBatch)
			if err != nil {
				return err
			}
			if len(ids) == 0 {
				break
			}
			if _, err := leave(conversation)(ctx, tx, tenant, ids); err != nil {
				return err
			}
		}
	}
	return nil
}

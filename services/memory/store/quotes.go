package store

import (
	"context"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/memory"
)

// What quotes a reply whose words are gone: corrections made in its conversation, those promoted from them, and replies of other
// builds that acknowledged them. It goes before the reply itself does, so a forgetting that was killed finds it again.

// quotePage bounds the corrections and replies that are read at once.
const quotePage = 50

const (
	selectCorrectionsMadeIn = `SELECT correction_id FROM tbl_l2_correction_log WHERE tenant = ? AND conversation_id = ? AND correction_id > ? ORDER BY correction_id LIMIT ?`
	selectRepliesWithTraces = `SELECT m.message_id FROM tbl_l2_messages m JOIN tbl_l2_message_traces t ON t.tenant = m.tenant AND t.message_id = m.message_id
WHERE m.tenant = ? AND m.conversation_id = ? AND m.message_id > ? ORDER BY m.message_id LIMIT ?`
)

// forgetQuotes takes what quotes words of a reply out of its conversation.
func (s *Store) forgetQuotes(ctx context.Context, f *memory.Forgetting, r memory.WrittenReply, now time.Time) error {
	gone := memory.NewGone(r.Gone)
	if len(gone) == 0 {
		return nil
	}
	m, err := scanMessage(s.db.QueryRow(ctx, selectMessage, f.Tenant, r.MessageID))
	if errors.Is(err, database.ErrNoRows) { // erased meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	quoting, err := s.quotingCorrections(ctx, f, m, gone)
	if err != nil || len(quoting) == 0 {
		return err
	}
	// Replies first: which they may be is known by the corrections.
	err = s.eachID(ctx, selectRepliesWithTraces, f.Tenant, m.ConversationID, func(id string) error { return s.shortenQuoting(ctx, f, id, gone) })
	if err != nil {
		return err
	}
	for _, id := range quoting {
		if err := s.shortenCorrection(ctx, f, id, gone, now); err != nil {
			return err
		}
	}
	return nil
}

// eachID calls do with the ids of a conversation that a statement finds, a page at a time.
func (s *Store) eachID(ctx context.Context, statement, tenant, conversation string, do func(id string) error) error {
	for after := ""; ; {
		ids, err := readIDs(ctx, s.db, statement, tenant, conversation, after, quotePage)
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			if err := do(id); err != nil {
				return err
			}
		}
		after = ids[len(ids)-1]
	}
}

// quotingCorrections lists the corrections made in a message's conversation, and those promoted from them, that quote the words:
// promoted ones first, since they are found by the others.
func (s *Store) quotingCorrections(ctx context.Context, f *memory.Forgetting, m memory.Message, gone memory.Gone) (ids []string, err error) {
	conversation, err := readNamedConversation(ctx, s.db, f.Tenant, m.ConversationID)
	if err != nil {
		return nil, err
	}
	wider := []memory.Place{{Scope: memory.ScopeUser, UserID: conversation.UserID}, {Scope: memory.ScopeModel, Model: f.Model}}
	var look func(id string) error
	look = func(id string) error {
		k, err := readCorrection(ctx, s.db, f.Tenant, id)
		if err != nil {
			return err
		}
		if _, quotes := k.Without(gone, m.Created); !quotes {
			return nil
		}
		for _, place := range wider {
			promoted, err := promotions(ctx, s.db, f.Tenant, id, place)
			if err != nil {
				return err
			}
			for _, k := range promoted {
				if err := look(k.ID); err != nil {
					return err
				}
			}
		}
		ids = append(ids, id)
		return nil
	}
	return ids, s.eachID(ctx, selectCorrectionsMadeIn, f.Tenant, m.ConversationID, look)
}

// shortenCorrection stores what is left of a correction, and files it anew under its words.
func (s *Store) shortenCorrection(ctx context.Context, f *memory.Forgetting, id string, gone memory.Gone, now time.Time) error {
	shortened := false
	err := s.withCorrection(ctx, f.Tenant, id, func(tx *database.Tx, current memory.Correction, lastAt int64) error {
		shortened = false
		k, quotes := current.Without(gone, fromMicros(max(micros(now), lastAt)))
		if !quotes {
			return nil
		}
		shortened = true
		if err := writeRewritten(ctx, tx, current, k); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, moveForgettingCorrections, f.Tenant, f.RequestID)
		return err
	})
	switch {
	case err == nil && shortened:
		f.Corrections++
	case err != nil && errors.KindOf(err) == errors.NotFound: // erased meanwhile
		err = nil
	}
	return err
}

// shortenQuoting takes quotes of the words out of a reply that other builds, or level 3, wrote. What a trace holds only the
// gateway knows: one that holds a word is replaced by the one that it gave for that.
func (s *Store) shortenQuoting(ctx context.Context, f *memory.Forgetting, id string, gone memory.Gone) error {
	shortened := false
	err := s.db.InTx(ctx, func(tx *database.Tx) error {
		shortened = false
		t, err := s.readTrace(ctx, tx, f.Tenant, id)
		if err != nil || f.Writes(t) {
			return err
		}
		m, err := scanMessage(tx.QueryRow(ctx, selectMessage, f.Tenant, id))
		if err != nil {
			return err
		}
		content := gone.TakeOut(m.Content)
		switch {
		case content == m.Content && !gone.InBytes(t.Body):
			return nil
		case t.NgramBuildID != 0 && !t.Forgotten: // without its trace, which steering quotes, there is no telling what level 1 wrote of it
			content = memory.Removed(m.Content)
		}
		packed := s.pack(&f.Quoting)
		if _, err := tx.Exec(ctx, updateTrace, f.Quoting.Version, len(f.Quoting.Body), packed.body, packed.detailOrNull(), flag(packed.detail != nil), f.Tenant, id); err != nil {
			return err
		}
		if content == m.Content {
			return nil
		}
		shortened = true
		if err := replaceContent(ctx, tx, f.Tenant, m, content); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, moveForgettingShortened, f.Tenant, f.RequestID)
		return err
	})
	if errors.Is(err, database.ErrNoRows) { // erased meanwhile
		return nil
	}
	if err == nil && shortened {
		f.Shortened++
	}
	return err
}

// replaceContent stores a shorter content of a message and indexes its words anew.
func replaceContent(ctx context.Context, tx *database.Tx, tenant string, m memory.Message, content string) error {
	if err := unindexMessage(ctx, tx, tenant, m.ID, m.Content); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, updateContent, content, tenant, m.ID); err != nil {
		return err
	}
	return indexMessage(ctx, tx, tenant, m.ID, messageWords(content))
}

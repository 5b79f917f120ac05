package store

import (
	"context"

	"dbslm/pkg/database"
	"dbslm/services/memory"
)

const (
	deleteBiasesOfConversation = `DELETE FROM tbl_l2_token_bias WHERE tenant = ? AND conversation_id = ?`
	deleteFactsOfConversation  = `DELETE FROM tbl_l2_facts WHERE tenant = ? AND conversation_id = ?`
	detachBiasesOfCorrections  = `UPDATE tbl_l2_token_bias SET correction_id = NULL WHERE tenant = ? AND correction_id IN (
  SELECT correction_id FROM tbl_l2_correction_log WHERE tenant = ? AND scope_key = ?)`
	deleteWordsOfScope         = `DELETE FROM tbl_l2_correction_words WHERE tenant = ? AND scope_key = ?`
	deleteWordCountsOfScope    = `DELETE FROM tbl_l2_correction_word_counts WHERE tenant = ? AND scope_key = ?`
	deleteCorrectionsOfScope   = `DELETE FROM tbl_l2_correction_log WHERE tenant = ? AND scope_key = ?`
	deleteScope                = `DELETE FROM tbl_l2_scopes WHERE tenant = ? AND scope_key = ?`
	deleteTracesOfConversation = `DELETE FROM tbl_l2_message_traces WHERE tenant = ? AND message_id IN (
  SELECT message_id FROM tbl_l2_messages WHERE tenant = ? AND conversation_id = ?)`
	deleteMessagesOfConversation = `DELETE FROM tbl_l2_messages WHERE tenant = ? AND conversation_id = ?`
	deleteTurnsOfConversation    = `DELETE FROM tbl_l2_turns WHERE tenant = ? AND conversation_id = ?`
	deleteConversation           = `DELETE FROM tbl_l2_conversations WHERE tenant = ? AND conversation_id = ?`
)

// DeleteConversation removes a conversation with everything that hangs on it and returns how many messages that were.
// Corrections of a wider scope that were made in it hold in other conversations too: they stay, without their references to it and
// without quoting it.
func (s *Store) DeleteConversation(ctx context.Context, tenant, id string) (messages int64, err error) {
	scope := memory.Place{Scope: memory.ScopeConversation, ConversationID: id}.Key()
	type step struct {
		statement string
		args      []any
	}
	ofScope := []step{ // in an order that the foreign keys allow
		{detachBiasesOfCorrections, []any{tenant, tenant, scope}},
		{deleteWordsOfScope, []any{tenant, scope}},
		{deleteWordCountsOfScope, []any{tenant, scope}},
		{deleteCorrectionsOfScope, []any{tenant, scope}},
	}
	ofConversation := []step{
		{deleteBiasesOfConversation, []any{tenant, id}},
		{deleteFactsOfConversation, []any{tenant, id}},
		{deleteScope, []any{tenant, scope}},
		{deleteTracesOfConversation, []any{tenant, tenant, id}},
		{deleteMessagesOfConversation, []any{tenant, id}},
		{deleteTurnsOfConversation, []any{tenant, id}},
		{deleteConversation, []any{tenant, id}},
	}
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		all := func(steps []step) error {
			for _, step := range steps {
				if _, err := tx.Exec(ctx, step.statement, step.args...); err != nil {
					return err
				}
			}
			return nil
		}
		if _, err := lockScope(ctx, tx, tenant, scope); err != nil {
			return err
		}
		if err := all(ofScope); err != nil {
			return err
		}
		if err := allLeave(ctx, tx, tenant, id); err != nil { // scopes are locked before the conversation
			return err
		}
		c, err := s.lockConversation(ctx, tx, tenant, id)
		if err != nil {
			return err
		}
		messages = c.Messages()
		if err := unindexConversation(ctx, tx, c); err != nil {
			return err
		}
		if err := allLeave(ctx, tx, tenant, id); err != nil { // that were recorded meanwhile
			return err
		}
		return all(ofConversation)
	})
	return messages, err
}

// unindexConversation takes a conversation's messages out of the index, a page at a time.
func unindexConversation(ctx context.Context, tx *database.Tx, c memory.Conversation) error {
	const pageMessages = 200
	for seq := c.Removed; seq < c.Messages(); {
		var page []memory.Message
		result, err := tx.Query(ctx, selectMessagesForward, c.Tenant, c.ID, seq, seq+pageMessages, c.ContentBytes, seq+1)
		err = rows(result, err, func(row database.Scanner) error {
			m, err := scanMessage(row)
			page = append(page, m)
			return err
		})
		if err != nil {
			return err
		}
		for _, m := range page {
			if err := unindexMessage(ctx, tx, c.Tenant, m.ID, m.Content); err != nil {
				return err
			}
		}
		seq += pageMessages
	}
	return nil
}

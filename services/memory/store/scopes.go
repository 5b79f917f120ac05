package store

import (
	"context"
	"time"

	"dbslm/pkg/database"
	"dbslm/services/memory"
)

const selectScope = `SELECT last_at FROM tbl_l2_scopes WHERE tenant = ? AND scope_key = ?`

// lockScope keeps everybody else from changing the corrections and facts of a scope until the transaction ends, and returns
// the time of its latest entry. Adding zero is what locks a row that may not exist yet, on every engine.
func lockScope(ctx context.Context, tx *database.Tx, tenant, scope string) (lastAt int64, err error) {
	err = tx.Upsert(ctx, "tbl_l2_scopes", []string{"tenant", "scope_key", "last_at"}, []string{"tenant", "scope_key"},
		[]database.Assign{{Column: "last_at", Add: true}}, [][]any{{tenant, scope, int64(0)}})
	if err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, selectScope, tenant, scope).Scan(&lastAt)
	return lastAt, err
}

const updateScope = `UPDATE tbl_l2_scopes SET last_at = ? WHERE tenant = ? AND scope_key = ?`

// stampScope returns the time of a new entry of a locked scope: now, or just after the latest entry if the clock went back.
func stampScope(ctx context.Context, tx *database.Tx, tenant, scope string, lastAt int64, now time.Time) (time.Time, error) {
	at := max(micros(now), lastAt+1)
	_, err := tx.Exec(ctx, updateScope, at, tenant, scope)
	return fromMicros(at), err
}

// completePlace fills in the person of a conversation for scope user, and refuses what does not fit together. conversation is
// the one named, or nil.
func completePlace(p memory.Place, conversation *memory.Conversation) (memory.Place, error) {
	switch p.Scope {
	case memory.ScopeConversation:
		if p.ConversationID == "" {
			return p, memory.Invalid("conversation_id", "is needed in scope CONVERSATION")
		}
		p.UserID, p.Model = "", ""
	case memory.ScopeUser:
		if conversation != nil {
			if p.UserID != "" && p.UserID != conversation.UserID {
				return p, memory.Invalid("user_id", "is not the person of conversation %s; leave one of the two out", conversation.ID)
			}
			p.UserID = conversation.UserID
		}
		if p.UserID == "" {
			return p, memory.Invalid("user_id", "is needed in scope USER when no conversation is given")
		}
		p.Model = ""
	case memory.ScopeModel:
		if p.Model == "" {
			return p, memory.Invalid("model", "is needed in scope MODEL")
		}
		p.UserID = ""
	default:
		return p, memory.Invalid("scope", "is unknown")
	}
	return p, nil
}

// readNamedConversation returns the conversation that a request names, or nil when it names none.
func readNamedConversation(ctx context.Context, q database.Querier, tenant, id string) (*memory.Conversation, error) {
	if id == "" {
		return nil, nil
	}
	c, err := readConversation(ctx, q, tenant, id, "")
	if err != nil {
		return nil, err
	}
	return &c, nil
}

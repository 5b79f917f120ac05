package store

import (
	"context"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/memory"
)

const factColumns = `tenant, fact_id, request_id, scope, COALESCE(conversation_id, ''), user_id, model, entity, attribute, value, created_at, COALESCE(retired_at, 0)`

func scanFact(row database.Scanner) (memory.Fact, error) {
	var f memory.Fact
	var created, retired int64
	err := row.Scan(&f.Tenant, &f.ID, &f.RequestID, &f.Scope, &f.ConversationID, &f.UserID, &f.Model, &f.Entity, &f.Attribute, &f.Value, &created, &retired)
	f.Created, f.Retired = fromMicros(created), fromMicros(retired)
	return f, err
}

const (
	selectFact          = `SELECT ` + factColumns + ` FROM tbl_l2_facts WHERE tenant = ? AND fact_id = ?`
	selectFactByRequest = `SELECT ` + factColumns + ` FROM tbl_l2_facts WHERE tenant = ? AND request_id = ?`
	retireFactOfKey     = `UPDATE tbl_l2_facts SET active = 0, active_key = NULL, retired_at = ? WHERE tenant = ? AND active_key = ?`
	retireFact          = `UPDATE tbl_l2_facts SET active = 0, active_key = NULL, retired_at = ? WHERE tenant = ? AND fact_id = ? AND active = 1`
	insertFact          = `INSERT INTO tbl_l2_facts (tenant, fact_id, request_id, scope, scope_key, conversation_id, user_id, model, entity, attribute, value, active, active_key, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)`
)

// RememberFact stores a fact that memory.Fact.Complete has accepted and retires the former value of its scope, entity and
// attribute in the same transaction. The same request id returns what it stored before.
func (s *Store) RememberFact(ctx context.Context, f memory.Fact, now time.Time) (memory.Fact, error) {
	var err error
	if f.ID, err = newID(); err != nil {
		return f, err
	}
	if f.Place, err = s.placeOfItsOwn(ctx, f.Tenant, f.Place); err != nil {
		return f, err
	}
	scope := f.Place.Key()
	var stored memory.Fact
	err = s.inTxAgain(ctx, func(tx *database.Tx) error {
		lastAt, err := lockScope(ctx, tx, f.Tenant, scope)
		if err != nil {
			return err
		}
		stored, err = scanFact(tx.QueryRow(ctx, selectFactByRequest, f.Tenant, f.RequestID))
		if err == nil && !stored.SameRequest(f) {
			return memory.RequestIDReused(f.RequestID)
		}
		if !errors.Is(err, database.ErrNoRows) {
			return err
		}
		stored = f
		if stored.Created, err = stampScope(ctx, tx, f.Tenant, scope, lastAt, now); err != nil {
			return err
		}
		key := memory.ActiveKey(f.Place, f.Subject())
		if _, err := tx.Exec(ctx, retireFactOfKey, micros(stored.Created), f.Tenant, key); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, insertFact, f.Tenant, f.ID, f.RequestID, string(f.Scope), scope, nullString(f.ConversationID), f.UserID, f.Model,
			f.Entity, f.Attribute, f.Value, key, micros(stored.Created))
		return err
	})
	return stored, err
}

// placeOfItsOwn completes the place of a fact or bias, of which only the id of its scope is kept.
func (s *Store) placeOfItsOwn(ctx context.Context, tenant string, p memory.Place) (memory.Place, error) {
	named, err := readNamedConversation(ctx, s.db, tenant, p.ConversationID)
	if err != nil {
		return p, err
	}
	p, err = completePlace(p, named)
	if p.Scope != memory.ScopeConversation {
		p.ConversationID = ""
	}
	return p, err
}

// RetireFact ends a fact; it stays readable. One that was retired before is returned as it is.
func (s *Store) RetireFact(ctx context.Context, tenant, id string, now time.Time) (f memory.Fact, err error) {
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		if _, err := tx.Exec(ctx, retireFact, micros(now), tenant, id); err != nil {
			return err
		}
		f, err = scanFact(tx.QueryRow(ctx, selectFact, tenant, id))
		if errors.Is(err, database.ErrNoRows) {
			return memory.NotFound("fact", id)
		}
		return err
	})
	return f, err
}

// Fact returns one fact, retired or not.
func (s *Store) Fact(ctx context.Context, tenant, id string) (memory.Fact, error) {
	f, err := scanFact(s.db.QueryRow(ctx, selectFact, tenant, id))
	if errors.Is(err, database.ErrNoRows) {
		return f, memory.NotFound("fact", id)
	}
	return f, err
}

// FactQuery asks for a page of facts, ordered by entity and attribute.
type FactQuery struct {
	Tenant         string
	ConversationID string // only those that hold in it, its own and its person's; empty for all
	UserID         string // only this person's; empty for all
	IncludeRetired bool
	After          string // id of the last fact of the page before; empty for the first page
	Limit          int
}

const (
	selectFacts     = `SELECT ` + factColumns + ` FROM tbl_l2_facts WHERE tenant = ?`
	factsOfTwo      = ` AND scope_key IN (?, ?)`
	factsOfOne      = ` AND scope_key = ?`
	factsActive     = ` AND active = 1`
	factsAfter      = ` AND (entity > ? OR entity = ? AND (attribute > ? OR attribute = ? AND fact_id > ?))`
	factsByProperty = ` ORDER BY entity, attribute, fact_id LIMIT ?`
)

// Facts returns a page and whether there is another one after its last fact.
func (s *Store) Facts(ctx context.Context, q FactQuery) (page []memory.Fact, more bool, err error) {
	named, err := readNamedConversation(ctx, s.db, q.Tenant, q.ConversationID)
	if err != nil {
		return nil, false, err
	}
	query, args := selectFacts, []any{q.Tenant}
	if named != nil {
		scopes := memory.ScopeKeys(named.ID, named.UserID, "")
		query, args = query+factsOfTwo, append(args, scopes[0], scopes[1])
	}
	if q.UserID != "" {
		query, args = query+factsOfOne, append(args, memory.Place{Scope: memory.ScopeUser, UserID: q.UserID}.Key())
	}
	if !q.IncludeRetired {
		query += factsActive
	}
	if q.After != "" {
		a, err := s.Fact(ctx, q.Tenant, q.After)
		if err != nil {
			return nil, false, err
		}
		query, args = query+factsAfter, append(args, a.Entity, a.Entity, a.Attribute, a.Attribute, a.ID)
	}
	query, args = query+factsByProperty, append(args, q.Limit+1)
	result, err := s.db.Query(ctx, query, args...)
	err = rows(result, err, func(row database.Scanner) error {
		f, err := scanFact(row)
		page = append(page, f)
		return err
	})
	if err != nil || len(page) <= q.Limit {
		return page, false, err
	}
	return page[:q.Limit], true, nil
}

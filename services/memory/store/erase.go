package store

import (
	"context"
	"math"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/memory"
)

// eraseBatch bounds the rows that one transaction of an erasure removes.
const eraseBatch = 200

// maxErasePasses bounds how often an erasure begins again because somebody went on writing.
const maxErasePasses = 3

const (
	selectErasure = `SELECT erasure_id, kind, subject, rows_removed, COALESCE(finished_at, 0) FROM tbl_l2_erasures WHERE tenant = ? AND request_id = ?`
	insertErasure = `INSERT INTO tbl_l2_erasures (tenant, erasure_id, request_id, kind, subject, rows_removed, started_at) VALUES (?, ?, ?, ?, ?, 0, ?)`
	updateErasure = `UPDATE tbl_l2_erasures SET rows_removed = rows_removed + ?, finished_at = ? WHERE tenant = ? AND erasure_id = ?`
)

// Erasure is an erasure in progress.
type Erasure struct {
	remover
	subject  memory.Subject
	id       string
	Finished bool
	holding  bool // conversations are kept until they are released
	released bool // only some were looked at
}

// remover removes rows in bounded transactions.
type remover struct {
	store    *Store
	tenant   string
	Rows     int64                                                           // removed so far, in earlier attempts too
	note     func(ctx context.Context, tx *database.Tx, removed int64) error // in each transaction that removes something
	progress func(rows int64) error                                          // after it
}

// Erase removes everything about a subject, in transactions of at most 200 rows, until a count finds nothing left; progress is
// told after each. Killed or cancelled at any moment, the same request goes on. A conversation that does not exist is erased
// already. What remains of a person is a row that says that it happened; and of corrections of a whole model that somebody
// reviewed entity, attribute and value. What remains of a conversation are its person's and model's corrections, which do not quote it.
func (s *Store) Erase(ctx context.Context, tenant string, subject memory.Subject, requestID string, now time.Time, progress func(rows int64) error) (Erasure, error) {
	return s.erase(ctx, Erasure{remover: remover{store: s, tenant: tenant, progress: progress}, subject: subject}, requestID, now, (*Erasure).pass)
}

// EraseHolding does the same, but keeps the rows of conversations, closed and empty, until they are released; it has not finished while
// there are any. With released conversations it looks at nothing else: those that were closed before go, the others are closed and kept.
func (s *Store) EraseHolding(ctx context.Context, tenant string, subject memory.Subject, requestID string, released []string, now time.Time, progress func(rows int64) error) (Erasure, error) {
	e := Erasure{remover: remover{store: s, tenant: tenant, progress: progress}, subject: subject, holding: true}
	if len(released) == 0 {
		return s.erase(ctx, e, requestID, now, (*Erasure).pass)
	}
	return s.erase(ctx, e, requestID, now, func(e *Erasure, ctx context.Context) error { return e.release(ctx, released) })
}

func (s *Store) erase(ctx context.Context, e Erasure, requestID string, now time.Time, pass func(*Erasure, context.Context) error) (Erasure, error) {
	tenant, subject := e.tenant, e.subject
	e.note = func(ctx context.Context, tx *database.Tx, removed int64) error {
		_, err := tx.Exec(ctx, updateErasure, removed, nil, tenant, e.id)
		return err
	}
	if err := e.begin(ctx, requestID, now); err != nil || e.Finished {
		return e, err
	}
	for range maxErasePasses {
		if err := pass(&e, ctx); err != nil || e.released {
			return e, err
		}
		left, err := s.CountSubject(ctx, tenant, subject)
		if err != nil {
			return e, err
		}
		if left == 0 {
			if err := s.db.Overwrite(ctx); err != nil {
				return e, err
			}
			e.Finished = true
			_, err := s.db.Exec(ctx, updateErasure, 0, micros(now), tenant, e.id)
			return e, err
		}
		if !e.holding {
			continue
		}
		kept, err := s.countConversations(ctx, tenant, subject)
		if err != nil || left == kept {
			return e, err
		}
	}
	return e, errors.New(errors.Aborted, memory.ReasonChangedMeanwhile,
		"somebody goes on writing what is being erased; stop that and repeat the erasure with the same request id")
}

// begin finds or makes the row that says that it happened.
func (e *Erasure) begin(ctx context.Context, requestID string, now time.Time) error {
	id, err := newID()
	if err != nil {
		return err
	}
	digest := e.subject.Digest(e.tenant)
	return e.store.inTxAgain(ctx, func(tx *database.Tx) error {
		var kind, subject string
		var finished int64
		err := tx.QueryRow(ctx, selectErasure, e.tenant, requestID).Scan(&e.id, &kind, &subject, &e.Rows, &finished)
		switch {
		case err == nil && subject != digest:
			return memory.RequestIDReused(requestID)
		case err == nil:
			e.Finished = finished != 0
			return nil
		case !errors.Is(err, database.ErrNoRows):
			return err
		}
		e.id = id
		_, err = tx.Exec(ctx, insertErasure, e.tenant, id, requestID, e.subject.Kind(), digest, micros(now))
		return err
	})
}

// batch runs one transaction and notes how many rows it removed.
func (e *remover) batch(ctx context.Context, f func(tx *database.Tx) (int64, error)) (int64, error) {
	var removed int64
	err := e.store.db.InTx(ctx, func(tx *database.Tx) (err error) {
		if removed, err = f(tx); err != nil || removed == 0 {
			return err
		}
		return e.note(ctx, tx, removed)
	})
	if err != nil || removed == 0 {
		return 0, err
	}
	e.Rows += removed
	return removed, e.progress(e.Rows)
}

// chore removes rows of one kind, a batch at a time: those whose ids the selection finds.
type chore struct {
	find   string // tenant, then args, then a limit
	args   []any
	remove func(ctx context.Context, tx *database.Tx, tenant string, ids []string) (int64, error)
}

func (e *remover) all(ctx context.Context, c chore) error {
	for {
		removed, err := e.batch(ctx, func(tx *database.Tx) (int64, error) {
			ids, err := readIDs(ctx, tx, c.find, append(append([]any{e.tenant}, c.args...), eraseBatch)...)
			if err != nil || len(ids) == 0 {
				return 0, err
			}
			return c.remove(ctx, tx, e.tenant, ids)
		})
		if err != nil || removed == 0 {
			return err
		}
	}
}

func readIDs(ctx context.Context, q database.Querier, query string, args ...any) (ids []string, err error) {
	result, err := q.Query(ctx, query, args...)
	err = rows(result, err, func(row database.Scanner) error {
		var id string
		err := row.Scan(&id)
		ids = append(ids, id)
		return err
	})
	return ids, err
}

// byIDs removes the rows of these ids with one statement: tenant, then the ids.
func byIDs(statement string) func(context.Context, *database.Tx, string, []string) (int64, error) {
	return func(ctx context.Context, tx *database.Tx, tenant string, ids []string) (int64, error) {
		return tx.Exec(ctx, statement+database.In(len(ids)), withIDs(tenant, ids)...)
	}
}

func withIDs(tenant string, ids []string) []any {
	args := []any{tenant}
	for _, id := range ids {
		args = append(args, id)
	}
	return args
}

const (
	findConversationsOfUser = `SELECT conversation_id, updated_at FROM tbl_l2_conversations
WHERE tenant = ? AND user_id = ? AND (updated_at > ? OR updated_at = ? AND conversation_id > ?) ORDER BY updated_at, conversation_id LIMIT ?`
	findBiasesOfScope       = `SELECT bias_id FROM tbl_l2_token_bias WHERE tenant = ? AND scope_key = ? LIMIT ?`
	findFactsOfScope        = `SELECT fact_id FROM tbl_l2_facts WHERE tenant = ? AND scope_key = ? LIMIT ?`
	findCorrectionsOfScope  = `SELECT correction_id FROM tbl_l2_correction_log WHERE tenant = ? AND scope_key = ? LIMIT ?`
	findCorrectionsOfOwn    = `SELECT correction_id FROM tbl_l2_correction_log WHERE tenant = ? AND recorded_by = ? AND reviewed_by IS NULL LIMIT ?`
	findCorrectionsRecorded = `SELECT correction_id FROM tbl_l2_correction_log WHERE tenant = ? AND recorded_by = ? AND reviewed_by IS NOT NULL LIMIT ?`
	findMessages            = `SELECT message_id FROM tbl_l2_messages WHERE tenant = ? AND conversation_id = ? ORDER BY seq DESC LIMIT ?`
	findTurns               = `SELECT turn_id FROM tbl_l2_turns WHERE tenant = ? AND conversation_id = ? LIMIT ?`
	removeBiases            = `DELETE FROM tbl_l2_token_bias WHERE tenant = ? AND bias_id IN `
	removeFacts             = `DELETE FROM tbl_l2_facts WHERE tenant = ? AND fact_id IN `
	removeBiasesOf          = `DELETE FROM tbl_l2_token_bias WHERE tenant = ? AND correction_id IN `
	removeWordsOf           = `DELETE FROM tbl_l2_correction_words WHERE tenant = ? AND correction_id IN `
	removeCorrections       = `DELETE FROM tbl_l2_correction_log WHERE tenant = ? AND correction_id IN `
	findCorrectionsAskedBy  = `SELECT correction_id FROM tbl_l2_correction_log WHERE tenant = ? AND asked_by = ? LIMIT ?`
	findCorrectionsReviewed = `SELECT correction_id FROM tbl_l2_correction_log WHERE tenant = ? AND reviewed_by = ? LIMIT ?`
	forgetReviewer          = `UPDATE tbl_l2_correction_log SET reviewed_by = '' WHERE tenant = ? AND correction_id IN `
	removeTraces            = `DELETE FROM tbl_l2_message_traces WHERE tenant = ? AND message_id IN `
	removeMessages          = `DELETE FROM tbl_l2_messages WHERE tenant = ? AND message_id IN `
	removeTurns             = `DELETE FROM tbl_l2_turns WHERE tenant = ? AND turn_id IN `
	closeForGood            = `UPDATE tbl_l2_conversations SET archived = 1, open_turn_id = NULL, open_until = NULL WHERE tenant = ? AND conversation_id = ?`
)

// pass removes everything that is there now.
func (e *Erasure) pass(ctx context.Context) error {
	if e.subject.ConversationID != "" {
		return e.conversation(ctx, e.subject.ConversationID, !e.holding)
	}
	user := []any{e.subject.UserID}
	for _, c := range []chore{ // while the questions of the person still stand where a correction quotes them
		{findCorrectionsOfOwn, user, e.removeCorrections},
		{findCorrectionsRecorded, user, e.forgetPerson},
		{findCorrectionsAskedBy, user, e.forgetPerson},
		{findCorrectionsReviewed, user, byIDs(forgetReviewer)},
	} {
		if err := e.all(ctx, c); err != nil {
			return err
		}
	}
	at, after := int64(math.MinInt64), ""
	for {
		var ids []string
		result, err := e.store.db.Query(ctx, findConversationsOfUser, e.tenant, e.subject.UserID, at, at, after, eraseBatch)
		err = rows(result, err, func(row database.Scanner) error {
			err := row.Scan(&after, &at)
			ids = append(ids, after)
			return err
		})
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			break
		}
		for _, id := range ids {
			if err := e.conversation(ctx, id, !e.holding); err != nil {
				return err
			}
		}
	}
	return e.scope(ctx, memory.Place{Scope: memory.ScopeUser, UserID: e.subject.UserID}.Key())
}

// forgetPerson takes a person's name and words out of corrections of a model. Those of which nothing would be left go.
func (e *Erasure) forgetPerson(ctx context.Context, tx *database.Tx, tenant string, ids []string) (int64, error) {
	corrections, err := lockCorrections(ctx, tx, tenant, ids)
	if err != nil {
		return 0, err
	}
	var empty []string
	for _, k := range corrections {
		after, rest := k.WithoutPerson(e.subject.UserID)
		if !rest {
			empty = append(empty, k.ID)
			continue
		}
		if err := writeRewritten(ctx, tx, k, after); err != nil {
			return 0, err
		}
	}
	removed := int64(0)
	if len(empty) > 0 {
		if removed, err = e.removeCorrections(ctx, tx, tenant, empty); err != nil {
			return 0, err
		}
	}
	return removed + int64(len(corrections)-len(empty)), nil
}

// release removes conversations of which nothing is left elsewhere. One that was not closed before may have got something new there.
func (e *Erasure) release(ctx context.Context, ids []string) error {
	e.released = true
	for _, id := range ids {
		c, err := e.store.Conversation(ctx, e.tenant, id)
		switch {
		case errors.KindOf(err) == errors.NotFound: // released before
			continue
		case err != nil:
			return err
		case e.subject.ConversationID != "" && e.subject.ConversationID != id, e.subject.UserID != "" && e.subject.UserID != c.UserID:
			return memory.Invalid("released_conversation_ids", "%s is not of the subject", id)
		}
		if err := e.conversation(ctx, id, c.Archived); err != nil {
			return err
		}
	}
	return nil
}

// conversation removes one conversation: closed first, then its messages from the newest, then the rest; and if it may go, its row.
func (e *Erasure) conversation(ctx context.Context, id string, goes bool) error {
	if _, err := e.store.db.Exec(ctx, closeForGood, e.tenant, id); err != nil {
		return err
	}
	if err := e.contents(ctx, id); err != nil || !goes {
		return err
	}
	_, err := e.batch(ctx, func(tx *database.Tx) (int64, error) { return dropConversation(ctx, tx, e.tenant, id) })
	return err
}

// contents removes what is in a closed conversation and holds in it.
func (e *remover) contents(ctx context.Context, id string) error {
	for _, c := range []chore{
		{findMessages, []any{id}, e.removeMessages},
		{findTurns, []any{id}, byIDs(removeTurns)},
	} {
		if err := e.all(ctx, c); err != nil {
			return err
		}
	}
	if err := e.scope(ctx, memory.Place{Scope: memory.ScopeConversation, ConversationID: id}.Key()); err != nil {
		return err
	}
	for _, find := range []string{findCorrectionsMadeIn, findCorrectionsAskedIn} {
		if err := e.all(ctx, chore{find, []any{id}, leave(id)}); err != nil {
			return err
		}
	}
	return nil
}

// dropConversation removes the row of an empty conversation.
func dropConversation(ctx context.Context, tx *database.Tx, tenant, id string) (int64, error) {
	if err := allLeave(ctx, tx, tenant, id); err != nil {
		return 0, err
	}
	return tx.Exec(ctx, deleteConversation, tenant, id)
}

func (e *remover) removeMessages(ctx context.Context, tx *database.Tx, tenant string, ids []string) (int64, error) {
	contents := map[string]string{}
	result, err := tx.Query(ctx, selectMessagesOf+database.In(len(ids)), withIDs(tenant, ids)...)
	err = rows(result, err, func(row database.Scanner) error {
		m, err := scanMessage(row)
		contents[m.ID] = m.Content
		return err
	})
	if err != nil {
		return 0, err
	}
	return removeMessagesWith(ctx, tx, tenant, ids, contents)
}

// removeMessagesWith removes messages with their words and traces.
func removeMessagesWith(ctx context.Context, tx *database.Tx, tenant string, ids []string, contents map[string]string) (int64, error) {
	for _, id := range ids {
		if err := unindexMessage(ctx, tx, tenant, id, contents[id]); err != nil {
			return 0, err
		}
	}
	traces, err := byIDs(removeTraces)(ctx, tx, tenant, ids)
	if err != nil {
		return 0, err
	}
	messages, err := byIDs(removeMessages)(ctx, tx, tenant, ids)
	return traces + messages, err
}

// scope removes what holds in a scope that is gone.
func (e *remover) scope(ctx context.Context, key string) error {
	for _, c := range []chore{
		{findBiasesOfScope, []any{key}, byIDs(removeBiases)},
		{findFactsOfScope, []any{key}, byIDs(removeFacts)},
		{findCorrectionsOfScope, []any{key}, e.removeCorrections},
	} {
		if err := e.all(ctx, c); err != nil {
			return err
		}
	}
	_, err := e.batch(ctx, func(tx *database.Tx) (int64, error) {
		counts, err := tx.Exec(ctx, deleteWordCountsOfScope, e.tenant, key)
		if err != nil {
			return 0, err
		}
		scopes, err := tx.Exec(ctx, deleteScope, e.tenant, key)
		return counts + scopes, err
	})
	return err
}

// removeCorrections removes corrections of any scope; the index of a wider scope than the erased one is kept right.
func (e *remover) removeCorrections(ctx context.Context, tx *database.Tx, tenant string, ids []string) (int64, error) {
	counts := counter{}
	corrections, err := lockCorrections(ctx, tx, tenant, ids)
	if err != nil {
		return 0, err
	}
	for _, k := range corrections {
		if k.Active() {
			if err := unfileCorrection(ctx, tx, k); err != nil {
				return 0, err
			}
			counts[k.ConversationID]--
		}
	}
	if err := counts.write(ctx, tx, tenant); err != nil {
		return 0, err
	}
	removed := int64(0)
	for _, statement := range []string{removeBiasesOf, removeWordsOf, removeCorrections} {
		n, err := byIDs(statement)(ctx, tx, tenant, ids)
		if err != nil {
			return 0, err
		}
		removed += n
	}
	return removed, nil
}

// What is left of a subject, by table; each takes the tenant and a key.
var (
	countsOfConversation = []string{
		`SELECT COUNT(*) FROM tbl_l2_messages WHERE tenant = ? AND conversation_id = ?`,
		`SELECT COUNT(*) FROM tbl_l2_turns WHERE tenant = ? AND conversation_id = ?`,
		`SELECT COUNT(*) FROM tbl_l2_facts WHERE tenant = ? AND conversation_id = ?`,
		`SELECT COUNT(*) FROM tbl_l2_token_bias WHERE tenant = ? AND conversation_id = ?`,
		`SELECT COUNT(*) FROM tbl_l2_correction_log WHERE tenant = ? AND conversation_id = ?`,
		`SELECT COUNT(*) FROM tbl_l2_correction_log WHERE tenant = ? AND asked_in = ?`,
		countConversation,
	}
	countsOfUser = []string{
		countConversationsOfUser,
		`SELECT COUNT(*) FROM tbl_l2_correction_log WHERE tenant = ? AND recorded_by = ?`,
		`SELECT COUNT(*) FROM tbl_l2_correction_log WHERE tenant = ? AND asked_by = ?`,
		`SELECT COUNT(*) FROM tbl_l2_correction_log WHERE tenant = ? AND reviewed_by = ?`,
	}
	countsOfScope = []string{
		`SELECT COUNT(*) FROM tbl_l2_correction_log WHERE tenant = ? AND scope_key = ?`,
		`SELECT COUNT(*) FROM tbl_l2_correction_words WHERE tenant = ? AND scope_key = ?`,
		`SELECT COUNT(*) FROM tbl_l2_correction_word_counts WHERE tenant = ? AND scope_key = ?`,
		`SELECT COUNT(*) FROM tbl_l2_facts WHERE tenant = ? AND scope_key = ?`,
		`SELECT COUNT(*) FROM tbl_l2_token_bias WHERE tenant = ? AND scope_key = ?`,
		`SELECT COUNT(*) FROM tbl_l2_scopes WHERE tenant = ? AND scope_key = ?`,
	}
)

const (
	countConversation        = `SELECT COUNT(*) FROM tbl_l2_conversations WHERE tenant = ? AND conversation_id = ?`
	countConversationsOfUser = `SELECT COUNT(*) FROM tbl_l2_conversations WHERE tenant = ? AND user_id = ?`
)

func (s *Store) countConversations(ctx context.Context, tenant string, subject memory.Subject) (n int64, err error) {
	query, key := countConversation, subject.ConversationID
	if subject.UserID != "" {
		query, key = countConversationsOfUser, subject.UserID
	}
	err = s.db.QueryRow(ctx, query, tenant, key).Scan(&n)
	return n, err
}

// CountSubject counts the rows about a subject, over all tables.
func (s *Store) CountSubject(ctx context.Context, tenant string, subject memory.Subject) (total int64, err error) {
	count := func(queries []string, key string) error {
		for _, query := range queries {
			var n int64
			if err := s.db.QueryRow(ctx, query, tenant, key).Scan(&n); err != nil {
				return err
			}
			total += n
		}
		return nil
	}
	if subject.ConversationID != "" {
		if err := count(countsOfConversation, subject.ConversationID); err != nil {
			return 0, err
		}
		return total, count(countsOfScope, memory.Place{Scope: memory.ScopeConversation, ConversationID: subject.ConversationID}.Key())
	}
	if err := count(countsOfUser, subject.UserID); err != nil {
		return 0, err
	}
	return total, count(countsOfScope, memory.Place{Scope: memory.ScopeUser, UserID: subject.UserID}.Key())
}

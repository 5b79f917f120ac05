package store

import (
	"context"
	"slices"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/concept"
)

const (
	signalColumns = `signal_id, tenant, conversation_id, bot, concept_id, score, payload, state, turn_id, due_at, repeat_us, expires_at, created_at`
	insertSignal  = `INSERT INTO tbl_l3_concept_signals (tenant, conversation_id, signal_id, request_id, bot, concept_id, score, payload, state, turn_id, claim_seq, due_at, repeat_us, expires_at, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'waiting', '', 0, ?, ?, ?, ?)`
	selectSignalOfRequest = `SELECT ` + signalColumns + ` FROM tbl_l3_concept_signals WHERE tenant = ? AND request_id = ? AND concept_id = ?`
	selectSignal          = `SELECT ` + signalColumns + ` FROM tbl_l3_concept_signals WHERE tenant = ? AND signal_id = ?`
)

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func readSignals(ctx context.Context, q database.Querier, query string, args ...any) (out []concept.Signal, err error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s concept.Signal
		var due, repeat, expires, created int64
		if err := rows.Scan(&s.ID, &s.Tenant, &s.Conversation, &s.Bot, &s.Concept, &s.Score, &s.Payload, &s.State, &s.Turn, &due, &repeat, &expires, &created); err != nil {
			return nil, err
		}
		s.Due, s.Repeat = fromMicros(due), time.Duration(repeat)*time.Microsecond
		s.Expires, s.Created = fromMicros(expires), fromMicros(created)
		out = append(out, s)
	}
	return out, rows.Err()
}

// PushSignal stores a signal, or returns the one that the same request id stored for the concept before. A request
// id that came with another signal is InvalidArgument.
func (s *Store) PushSignal(ctx context.Context, sig concept.Signal, requestID string) (stored concept.Signal, err error) {
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		old, err := readSignals(ctx, tx, selectSignalOfRequest, sig.Tenant, requestID, sig.Concept)
		if err != nil {
			return err
		}
		if len(old) == 1 {
			stored, err = repeated(old[0], sig, requestID)
			return err
		}
		stored = sig
		stored.State = concept.SignalWaiting
		return addSignal(ctx, tx, sig, requestID)
	})
	if database.IsDuplicate(err) { // a repetition of the request was quicker
		old, readErr := readSignals(ctx, s.db, selectSignalOfRequest, sig.Tenant, requestID, sig.Concept)
		if readErr == nil && len(old) == 1 {
			return repeated(old[0], sig, requestID)
		}
	}
	return stored, err
}

func addSignal(ctx context.Context, tx *database.Tx, sig concept.Signal, requestID string) error {
	_, err := tx.Exec(ctx, insertSignal, sig.Tenant, sig.Conversation, sig.ID, requestID, sig.Bot, sig.Concept, sig.Score,
		sig.Payload, micros(sig.Due), sig.Repeat.Microseconds(), micros(sig.Expires), micros(sig.Created))
	return err
}

// repeated returns the stored signal if the request that stored it asked for the same one.
func repeated(stored, asked concept.Signal, requestID string) (concept.Signal, error) {
	if stored.Conversation != asked.Conversation || stored.Bot != asked.Bot || stored.Score != asked.Score || stored.Payload != asked.Payload ||
		stored.Repeat != asked.Repeat { // its times are relative to the first request
		return concept.Signal{}, errors.New(errors.InvalidArgument, "REQUEST_ID_REUSED",
			"request id %q was used for another signal of this concept; give every request an id of its own, and repeat a request unchanged", requestID).
			Field("request_id", "was used for another request")
	}
	return stored, nil
}

// What can be claimed is chosen without payloads: many signals with large ones may wait.
const selectClaimable = `SELECT signal_id, tenant, conversation_id, bot, concept_id, score, '', state, turn_id, due_at, repeat_us, expires_at, created_at FROM tbl_l3_concept_signals
WHERE tenant = ? AND conversation_id = ? AND (state = 'claimed' OR state = 'waiting' AND due_at <= ? AND (expires_at = 0 OR expires_at > ? OR repeat_us > 0))
ORDER BY CASE WHEN state = 'claimed' THEN 0 ELSE 1 END, claim_seq, score DESC, created_at DESC, signal_id DESC`

const claimSignal = `UPDATE tbl_l3_concept_signals SET state = 'claimed', turn_id = ?, claim_seq = ?, due_at = ?, expires_at = ?
WHERE tenant = ? AND conversation_id = ? AND signal_id = ? AND state = 'waiting'`

// Claims is what a turn found among the signals of its conversation.
type Claims struct {
	Signal    *concept.Signal // reserved for the turn; nil when none waits
	Unsettled []string        // other turns that hold claims, sorted
}

// Claim reserves the next signal of a bot for a turn: first those that the turn claimed before, in that order, so
// that a retry gets the same; then the waiting one with the highest score, the newest of equals. Used ones are
// passed over. Without a waiting signal nothing is locked or written.
func (s *Store) Claim(ctx context.Context, bot concept.Bot, conversation, turn string, used []string, now time.Time) (claims Claims, err error) {
	seen, err := readSignals(ctx, s.db, selectClaimable, bot.Tenant, conversation, now.UnixMicro(), now.UnixMicro())
	if err != nil {
		return Claims{}, err
	}
	claims, write := nextClaim(seen, bot.Name, turn, used, now)
	if !write {
		return s.withPayload(ctx, bot.Tenant, claims)
	}
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		seen, err := readSignals(ctx, tx, selectClaimable+tx.Dialect().ForUpdate(), bot.Tenant, conversation, now.UnixMicro(), now.UnixMicro())
		if err != nil {
			return err
		}
		claims, write = nextClaim(seen, bot.Name, turn, used, now)
		if !write {
			return nil
		}
		n, err := tx.Exec(ctx, claimSignal, turn, len(used), micros(claims.Signal.Due), micros(claims.Signal.Expires), bot.Tenant, conversation, claims.Signal.ID)
		if err == nil && n != 1 {
			err = errors.New(errors.Aborted, "SIGNAL_TAKEN", "another turn took the signal; try again")
		}
		return err
	})
	if err != nil {
		return Claims{}, err
	}
	return s.withPayload(ctx, bot.Tenant, claims)
}

// Preview returns the waiting signal that Claim would reserve for a new turn, and reserves nothing.
func (s *Store) Preview(ctx context.Context, bot concept.Bot, conversation string, used []string, now time.Time) (Claims, error) {
	seen, err := readSignals(ctx, s.db, selectClaimable, bot.Tenant, conversation, now.UnixMicro(), now.UnixMicro())
	if err != nil {
		return Claims{}, err
	}
	claims, _ := nextClaim(seen, bot.Name, "", used, now)
	claims.Unsettled = nil
	return s.withPayload(ctx, bot.Tenant, claims)
}

// withPayload reads the claimed signal as it is stored now.
func (s *Store) withPayload(ctx context.Context, tenant string, claims Claims) (Claims, error) {
	if claims.Signal == nil {
		return claims, nil
	}
	whole, err := readSignals(ctx, s.db, selectSignal, tenant, claims.Signal.ID)
	if err == nil && len(whole) != 1 {
		err = errors.New(errors.Aborted, "SIGNAL_GONE", "the signal was removed meanwhile; try again")
	}
	if err != nil {
		return Claims{}, err
	}
	claims.Signal = &whole[0]
	return claims, nil
}

// nextClaim decides; write says that the signal is still to be claimed.
func nextClaim(seen []concept.Signal, bot, turn string, used []string, now time.Time) (claims Claims, write bool) {
	for _, sig := range seen {
		sig = sig.At(now)
		switch {
		case sig.State == concept.SignalClaimed && sig.Turn != turn:
			if !slices.Contains(claims.Unsettled, sig.Turn) {
				claims.Unsettled = append(claims.Unsettled, sig.Turn)
			}
		case claims.Signal != nil || sig.Bot != bot || slices.Contains(used, sig.ID) || sig.Expired(now) || sig.State == concept.SignalWaiting && sig.Due.After(now):
		default:
			claims.Signal, write = &sig, sig.State == concept.SignalWaiting
		}
	}
	slices.Sort(claims.Unsettled)
	return claims, write
}

const (
	confirmSignals  = `UPDATE tbl_l3_concept_signals SET state = 'confirmed' WHERE tenant = ? AND turn_id = ? AND state = 'claimed' AND signal_id IN `
	countConfirmed  = `SELECT COUNT(*) FROM tbl_l3_concept_signals WHERE tenant = ? AND turn_id = ? AND state = 'confirmed'`
	releaseSignals  = `UPDATE tbl_l3_concept_signals SET state = 'waiting', turn_id = '', claim_seq = 0 WHERE tenant = ? AND turn_id = ? AND state = 'claimed'`
	cancelSignal    = `UPDATE tbl_l3_concept_signals SET state = 'cancelled' WHERE tenant = ? AND signal_id = ? AND state = 'waiting'`
	selectRepeated  = `SELECT ` + signalColumns + ` FROM tbl_l3_concept_signals WHERE tenant = ? AND turn_id = ? AND state = 'claimed' AND repeat_us > 0 AND signal_id IN `
	lockTurnSignals = `SELECT signal_id FROM tbl_l3_concept_signals WHERE tenant = ? AND turn_id = ? ORDER BY signal_id`
)

// Settle ends the claims of a turn: those named are confirmed, and wait again under a new id if they are repeated; the
// others are released. It may be repeated.
func (s *Store) Settle(ctx context.Context, tenant, turn string, spoken []string, newID func() (string, error)) (confirmed, released int64, err error) {
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		if rows, err := tx.Query(ctx, lockTurnSignals+tx.Dialect().ForUpdate(), tenant, turn); err != nil {
			return err
		} else if err := rows.Close(); err != nil {
			return err
		}
		if len(spoken) > 0 {
			args := []any{tenant, turn}
			for _, id := range spoken {
				args = append(args, id)
			}
			if err := repeat(ctx, tx, args, newID); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, confirmSignals+database.In(len(spoken)), args...); err != nil {
				return err
			}
		}
		if err := tx.QueryRow(ctx, countConfirmed, tenant, turn).Scan(&confirmed); err != nil {
			return err
		}
		released, err = tx.Exec(ctx, releaseSignals, tenant, turn)
		return err
	})
	return confirmed, released, err
}

// repeat stores the next times of the repeated signals among those that a turn confirms.
func repeat(ctx context.Context, tx *database.Tx, turnAndSpoken []any, newID func() (string, error)) error {
	spoken, err := readSignals(ctx, tx, selectRepeated+database.In(len(turnAndSpoken)-2), turnAndSpoken...)
	if err != nil {
		return err
	}
	for _, sig := range spoken {
		next := sig.Next()
		if next.ID, err = newID(); err != nil {
			return err
		}
		if err := addSignal(ctx, tx, next, "after:"+sig.ID); err != nil {
			return err
		}
	}
	return nil
}

// Cancel removes a waiting signal and returns it; one that is claimed or has ended is returned as it is.
func (s *Store) Cancel(ctx context.Context, tenant, id string) (sig concept.Signal, err error) {
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		if _, err := tx.Exec(ctx, cancelSignal, tenant, id); err != nil {
			return err
		}
		found, err := readSignals(ctx, tx, selectSignal, tenant, id)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return errors.New(errors.NotFound, "SIGNAL_NOT_FOUND", "there is no signal %q", id)
		}
		sig = found[0]
		return nil
	})
	return sig, err
}

const (
	selectLiveSignals = `SELECT ` + signalColumns + ` FROM tbl_l3_concept_signals
WHERE tenant = ? AND conversation_id = ? AND state IN ('waiting', 'claimed') AND (expires_at = 0 OR expires_at > ? OR repeat_us > 0)
AND (score < ? OR score = ? AND (created_at < ? OR created_at = ? AND signal_id < ?))
ORDER BY score DESC, created_at DESC, signal_id DESC LIMIT ?`
	selectAllSignals = `SELECT ` + signalColumns + ` FROM tbl_l3_concept_signals
WHERE tenant = ? AND conversation_id = ?
AND (score < ? OR score = ? AND (created_at < ? OR created_at = ? AND signal_id < ?))
ORDER BY score DESC, created_at DESC, signal_id DESC LIMIT ?`
)

// SignalPosition is where a list of signals goes on.
type SignalPosition struct {
	Score   float64
	Created int64
	ID      string
}

// FirstSignal is the position before every signal.
var FirstSignal = SignalPosition{Score: 1e300}

// ListSignals returns up to limit signals of a conversation after a position, in the order in which they would
// speak; with ended, those that spoke, were cancelled or expired too.
func (s *Store) ListSignals(ctx context.Context, tenant, conversation string, ended bool, now time.Time, after SignalPosition, limit int) ([]concept.Signal, error) {
	if ended {
		return readSignals(ctx, s.db, selectAllSignals, tenant, conversation,
			after.Score, after.Score, after.Created, after.Created, after.ID, limit)
	}
	return readSignals(ctx, s.db, selectLiveSignals, tenant, conversation, now.UnixMicro(),
		after.Score, after.Score, after.Created, after.Created, after.ID, limit)
}

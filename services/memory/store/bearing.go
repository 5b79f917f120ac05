package store

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"dbslm/pkg/database"
	"dbslm/services/memory"
	"dbslm/services/memory/folding"
)

const (
	// maxIndexWords bounds the words of a text that are looked up one by one. A text with more of them is compared with the
	// narrowest and newest corrections and biases directly.
	maxIndexWords = 512
	// maxCandidates bounds what is compared with one text.
	maxCandidates = 1000
)

// wordCondition returns the condition that a column is one of the words — or always true for more words than are looked up —
// and appends its arguments. Lists are padded to powers of two, so that few different statements reach the server.
func wordCondition(column string, words []string, args []any) (string, []any) {
	if len(words) > maxIndexWords {
		return "1 = 1", args
	}
	size := 1
	for size < len(words) {
		size *= 2
	}
	for i := range size {
		word := "" // which is no word
		if len(words) > 0 {
			word = words[min(i, len(words)-1)]
		}
		args = append(args, word)
	}
	return column + " IN " + database.In(size), args
}

// Candidates are the active corrections of three scopes that share a word with a text; recent ones were made in the
// conversation. Both kinds are bounded, in one statement. What is sorted and cut are ids: MariaDB would keep an intermediate
// table with long texts on the disk.
const (
	selectCandidatesBefore = `SELECT 0 AS part, ` + correctionColumns + ` FROM (SELECT correction_id AS found_id FROM tbl_l2_correction_log k JOIN (
    SELECT DISTINCT correction_id AS candidate_id FROM tbl_l2_correction_words WHERE tenant = ? AND scope_key IN (?,?,?) AND `
	selectCandidatesAfter = `) w ON k.correction_id = w.candidate_id WHERE k.tenant = ?
  ORDER BY CASE scope WHEN 'conversation' THEN 0 WHEN 'user' THEN 1 ELSE 2 END, created_at DESC, correction_id DESC LIMIT ?) found
JOIN tbl_l2_correction_log l ON l.tenant = ? AND l.correction_id = found.found_id`
	selectRecent = ` UNION ALL SELECT 1 AS part, ` + correctionColumns + ` FROM (SELECT correction_id AS found_id FROM tbl_l2_correction_log
  WHERE tenant = ? AND conversation_id = ? AND active = 1 ORDER BY created_at DESC, correction_id DESC LIMIT ?) recent
JOIN tbl_l2_correction_log l ON l.tenant = ? AND l.correction_id = recent.found_id`
)

// readCorrections returns the corrections that bear on a folded text, narrowest scope first, then newest, and, when recent is
// above 0, as many of the conversation's own, newest first.
func readCorrections(ctx context.Context, q database.Querier, c memory.Conversation, model, folded string, limit, recent int) (
	[]memory.CorrectionMatch, []memory.Correction, error,
) {
	scopes := memory.ScopeKeys(c.ID, c.UserID, model)
	args := []any{c.Tenant, scopes[0], scopes[1], scopes[2]}
	condition, args := wordCondition("word", folding.IndexWords(folded), args)
	query, args := selectCandidatesBefore+condition+selectCandidatesAfter, append(args, c.Tenant, maxCandidates, c.Tenant)
	if recent > 0 {
		query, args = query+selectRecent, append(args, c.Tenant, c.ID, recent, c.Tenant)
	}
	var parts [2][]memory.Correction
	result, err := q.Query(ctx, query, args...)
	err = rows(result, err, func(row database.Scanner) error {
		var part int
		k, err := scanCorrection(row, &part)
		if err == nil {
			parts[part] = append(parts[part], k)
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	for _, list := range parts { // neither a join nor a union promises an order
		slices.SortFunc(list, func(a, b memory.Correction) int {
			return cmp.Or(newestFirst(a.Created, b.Created), strings.Compare(b.ID, a.ID))
		})
	}
	slices.SortStableFunc(parts[0], func(a, b memory.Correction) int { return cmp.Compare(a.Scope.Rank(), b.Scope.Rank()) })
	return memory.MatchCorrections(parts[0], folded, limit), parts[1], nil
}

// Facts and biases of three scopes, each arm bounded by itself, in one statement: id, place, three texts, a number, two
// times. As above, only ids are sorted and cut.
const (
	selectScopeFacts = `SELECT 0 AS part, fact_id, scope, COALESCE(conversation_id, ''), user_id, model, entity, attribute, value, 0.0, 0, created_at
FROM (SELECT fact_id AS found_id FROM tbl_l2_facts WHERE tenant = ? AND scope_key = ? AND active = 1 ORDER BY created_at DESC, fact_id DESC LIMIT ?) found
JOIN tbl_l2_facts f ON f.tenant = ? AND f.fact_id = found.found_id
UNION ALL `
	selectScopeBiases = `SELECT 1 AS part, bias_id, scope, COALESCE(conversation_id, ''), user_id, model, pattern, sequence_text, COALESCE(correction_id, ''),
  strength_log10, COALESCE(expires_at, 0), created_at
FROM (SELECT bias_id AS found_id FROM tbl_l2_token_bias WHERE tenant = ? AND scope_key IN (?,?,?) AND (anchor = '' OR `
	selectScopeBiasesAfter = `) AND (expires_at IS NULL OR expires_at > ?)
  ORDER BY CASE scope WHEN 'conversation' THEN 0 WHEN 'user' THEN 1 ELSE 2 END, created_at DESC, bias_id DESC LIMIT ?) found
JOIN tbl_l2_token_bias b ON b.tenant = ? AND b.bias_id = found.found_id`
	selectFactsAndBiases = selectScopeFacts + selectScopeFacts + selectScopeFacts + selectScopeBiases
)

// readFactsAndBiases returns the facts that apply in a conversation and the biases that apply to a folded context at that
// time, both narrowest scope first, then newest.
func readFactsAndBiases(ctx context.Context, q database.Querier, c memory.Conversation, model, folded string, now time.Time) ([]memory.Fact, []memory.Bias, error) {
	scopes := memory.ScopeKeys(c.ID, c.UserID, model)
	var args []any
	for _, scope := range scopes {
		args = append(args, c.Tenant, scope, memory.MaxTurnFacts, c.Tenant)
	}
	args = append(args, c.Tenant, scopes[0], scopes[1], scopes[2])
	condition, args := wordCondition("anchor", folding.IndexWords(folded), args)
	args = append(args, micros(now), maxCandidates, c.Tenant)

	var facts []memory.Fact
	var biases []memory.Bias
	result, err := q.Query(ctx, selectFactsAndBiases+condition+selectScopeBiasesAfter, args...)
	err = rows(result, err, func(row database.Scanner) error {
		var (
			part             int
			id               string
			place            memory.Place
			texts            [3]string
			strength         float64
			expires, created int64
		)
		err := row.Scan(&part, &id, &place.Scope, &place.ConversationID, &place.UserID, &place.Model, &texts[0], &texts[1], &texts[2], &strength, &expires, &created)
		if err != nil {
			return err
		}
		if part == 0 {
			facts = append(facts, memory.Fact{
				Tenant: c.Tenant, ID: id, Place: place, Entity: texts[0], Attribute: texts[1], Value: texts[2], Created: fromMicros(created),
			})
			return nil
		}
		b := memory.Bias{
			Tenant: c.Tenant, ID: id, Place: place, Pattern: texts[0], Sequence: texts[1], CorrectionID: texts[2],
			Strength: strength, Expires: fromMicros(expires), Created: fromMicros(created),
		}
		if b.Applies(folded, now) {
			biases = append(biases, b)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(facts, func(a, b memory.Fact) int {
		return cmp.Or(cmp.Compare(a.Scope.Rank(), b.Scope.Rank()), newestFirst(a.Created, b.Created), strings.Compare(b.ID, a.ID))
	})
	slices.SortFunc(biases, func(a, b memory.Bias) int {
		return cmp.Or(cmp.Compare(a.Scope.Rank(), b.Scope.Rank()), newestFirst(a.Created, b.Created), strings.Compare(b.ID, a.ID))
	})
	facts = memory.NarrowestFacts(facts)
	return facts[:min(len(facts), memory.MaxTurnFacts)], biases[:min(len(biases), memory.MaxTurnBiases)], nil
}

func newestFirst(a, b time.Time) int { return b.Compare(a) }

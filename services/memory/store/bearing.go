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
	"dbslm/services/memory/matching"
)

// What bears on a text, read in two steps whose cost does not depend on how much is stored: how many corrections of the
// scopes are filed under each of its words; then, from the rarest words, the candidates, with facts and biases.

const (
	// maxTextWords bounds the words of a text that are looked up: the first in byte order.
	maxTextWords = 10_000
	// maxBiasWords bounds the words by which biases are looked up; a context with more of them is compared with the
	// narrowest and newest biases directly.
	maxBiasWords = 512
	// maxLists and maxListed bound the lists of the index that are read for a text: the shortest lists, and of each
	// the newest entries. Four thousand entries are read at most. Of a list that is longer only those entries count that
	// the shortest list of its scope has too.
	maxLists  = 16
	maxListed = 1000
	maxRead   = 4000
	// maxCandidates bounds the corrections that are compared with a text: those with the greatest weight of common words.
	maxCandidates = 50
	// maxBiases bounds the biases that are compared with a context.
	maxBiases = 1000
)

// wordCondition returns the condition that a column is one of the words, and appends its arguments. Lists are padded to powers
// of two, so that few different statements reach the server.
func wordCondition(column string, words []string, args []any) (string, []any) {
	size := 1
	for size < len(words) {
		size *= 2
	}
	for i := range size {
		word := noWord
		if len(words) > 0 {
			word = words[min(i, len(words)-1)]
		}
		args = append(args, word)
	}
	return column + " IN " + database.In(size), args
}

// noWord stands in no text and in no index.
const noWord = " "

// frequencies are how many corrections each scope's index holds under each word of a text, by the scope's key.
type frequencies map[string]matching.Frequencies

func (f frequencies) add(scope, word string, corrections int64) {
	if f[scope] == nil {
		f[scope] = matching.Frequencies{}
	}
	f[scope][word] = corrections
}

const selectFrequencies = `SELECT scope_key, word, corrections FROM tbl_l2_correction_word_counts WHERE tenant = ? AND scope_key IN (?,?,?) AND corrections > 0 AND `

// readFrequencies counts by itself; PrepareTurn does it in the statement that reads the window.
func readFrequencies(ctx context.Context, q database.Querier, c memory.Conversation, model string, t matching.Text) (frequencies, error) {
	f := frequencies{}
	condition, args := frequencyCondition(c, model, t)
	result, err := q.Query(ctx, selectFrequencies+condition, args...)
	err = rows(result, err, func(row database.Scanner) error {
		var scope, word string
		var n int64
		err := row.Scan(&scope, &word, &n)
		f.add(scope, word, n)
		return err
	})
	return f, err
}

func frequencyCondition(c memory.Conversation, model string, t matching.Text) (string, []any) {
	scopes := memory.ScopeKeys(c.ID, c.UserID, model)
	return wordCondition("word", append([]string{everyCorrection}, t.Lookup(maxTextWords)...), []any{c.Tenant, scopes[0], scopes[1], scopes[2]})
}

// list is one list of the index: a word in a scope.
type list struct {
	scope, word string
	length      int64
	weight      int64
	within      string // word of a shorter list whose entries alone are looked for in this one; empty for all
}

// shortest returns the lists to read, rarest words first.
func (f frequencies) shortest() []list {
	var lists []list
	for scope, counts := range f {
		for word, n := range counts {
			if word != everyCorrection {
				lists = append(lists, list{scope: scope, word: word, length: n, weight: counts.Weight(word)})
			}
		}
	}
	slices.SortFunc(lists, func(a, b list) int {
		return cmp.Or(cmp.Compare(a.length, b.length), strings.Compare(a.scope, b.scope), strings.Compare(a.word, b.word))
	})
	read := int64(0)
	shortest := map[string]list{} // by scope
	for i, l := range lists {
		cost := l.length
		if s, ok := shortest[l.scope]; !ok {
			shortest[l.scope] = l
		} else if l.length > maxListed && s.length < l.length {
			lists[i].within, cost = s.word, s.length
		}
		if read += min(cost, maxListed); i == maxLists || i > 0 && read > maxRead {
			return lists[:i]
		}
	}
	return lists
}

// The candidates, the conversation's recent corrections, facts and biases of three scopes, as far as there are any, each arm bounded
// by itself, in one statement. The bounds stand in the text: SQLite makes a new plan for every value that is bound to a LIMIT. What is sorted and cut are ids: MariaDB would keep an intermediate table with long texts on the disk. Facts and
// biases stand in the columns of corrections; only the strength of a bias has a column of its own. CROSS JOIN is JOIN, except
// that SQLite keeps the order: without statistics it would walk a whole tenant and look each row up among the ids.
const (
	selectCandidatesBefore = `SELECT 0 AS part, 0.0 AS strength, ` + correctionColumns + ` FROM (SELECT correction_id AS found_id FROM (`
	selectList             = `SELECT correction_id, weight FROM (SELECT correction_id, ? AS weight FROM tbl_l2_correction_words
  WHERE tenant = ? AND scope_key = ? AND word = ? ORDER BY correction_id DESC LIMIT 1000) listed`
	selectListWithin = `SELECT l.correction_id, ? AS weight FROM (SELECT correction_id FROM tbl_l2_correction_words
  WHERE tenant = ? AND scope_key = ? AND word = ? ORDER BY correction_id DESC LIMIT 1000) listed
  CROSS JOIN tbl_l2_correction_words l ON l.tenant = ? AND l.scope_key = ? AND l.word = ? AND l.correction_id = listed.correction_id`
	selectCandidatesAfter = `) hits GROUP BY correction_id ORDER BY SUM(weight) DESC, correction_id DESC LIMIT 50) found
CROSS JOIN tbl_l2_correction_log l ON l.tenant = ? AND l.correction_id = found.found_id`
	selectRecent = `SELECT 1 AS part, 0.0 AS strength, ` + correctionColumns + ` FROM (SELECT correction_id AS found_id FROM tbl_l2_correction_log
  WHERE tenant = ? AND conversation_id = ? AND active = 1 ORDER BY created_at DESC, correction_id DESC LIMIT 5) recent
CROSS JOIN tbl_l2_correction_log l ON l.tenant = ? AND l.correction_id = recent.found_id`
	selectScopeFacts = `SELECT 2 AS part, 0.0 AS strength, tenant, fact_id, '', scope, COALESCE(conversation_id, ''), user_id, model, '', '', value, '{}',
  '', '', 0, 0, attribute, entity, created_at, 1, '', 1, '', '', '', ''
FROM (SELECT fact_id AS found_id FROM tbl_l2_facts WHERE tenant = ? AND scope_key = ? AND active = 1 ORDER BY created_at DESC, fact_id DESC LIMIT 100) found
CROSS JOIN tbl_l2_facts f ON f.tenant = ? AND f.fact_id = found.found_id`
	selectScopeBiases = `SELECT 3 AS part, strength_log10 AS strength, tenant, bias_id, '', scope, COALESCE(conversation_id, ''), user_id, model, COALESCE(correction_id, ''), '',
  pattern, '{}', sequence_text, COALESCE(then_text, ''), COALESCE(half_life_us, 0), COALESCE(expires_at, 0), '', '', created_at, is_regex, '', gap_words, '', '', '', ''
FROM (SELECT bias_id AS found_id FROM tbl_l2_token_bias WHERE tenant = ? AND scope_key IN (?,?,?) AND (anchor = '' OR `
	selectScopeBiasesAfter = `) AND (expires_at IS NULL OR expires_at > ?)
  ORDER BY CASE scope WHEN 'conversation' THEN 0 WHEN 'user' THEN 1 ELSE 2 END, created_at DESC, bias_id DESC LIMIT 1000) found
CROSS JOIN tbl_l2_token_bias b ON b.tenant = ? AND b.bias_id = found.found_id`
)

// candidateQuery reads the candidates of a text.
func candidateQuery(tenant string, f frequencies) (string, []any) {
	lists := f.shortest()
	size := 1
	for size < len(lists) {
		size *= 2
	}
	var query strings.Builder
	query.WriteString(selectCandidatesBefore)
	var args []any
	for i := range size {
		l := list{word: noWord}
		if i < len(lists) {
			l = lists[i]
		}
		if i > 0 {
			query.WriteString(" UNION ALL ")
		}
		if l.within != "" {
			query.WriteString(selectListWithin)
			args = append(args, l.weight, tenant, l.scope, l.within, tenant, l.scope, l.word)
			continue
		}
		query.WriteString(selectList)
		args = append(args, l.weight, tenant, l.scope, l.word)
	}
	query.WriteString(selectCandidatesAfter)
	return query.String(), append(args, tenant)
}

// readCandidates returns the corrections that bear on a text.
func readCandidates(ctx context.Context, q database.Querier, c memory.Conversation, f frequencies, t matching.Text, limit int) ([]memory.CorrectionMatch, error) {
	query, args := candidateQuery(c.Tenant, f)
	var candidates []memory.Correction
	result, err := q.Query(ctx, query, args...)
	err = rows(result, err, func(row database.Scanner) error {
		var part int
		var strength float64
		k, err := scanCorrection(row, &part, &strength)
		candidates = append(candidates, k)
		return err
	})
	return memory.MatchCorrections(candidates, t, f, limit), err
}

// context is what the biases of a turn are compared with and what else bears on it.
type bearing struct {
	conversation memory.Conversation
	model        string
	text         matching.Text
	frequencies  frequencies
	said         memory.Said // window and message
	now          time.Time
	limit        int // of corrections
	known        known
}

// known says of what there is anything to read; most conversations have nothing of it.
type known struct{ recent, facts, biases bool }

var everything = known{true, true, true}

// bearingQuery reads what may bear on a text, of that which is known; "" when nothing is.
func bearingQuery(b bearing) (query string, args []any) {
	c := b.conversation
	scopes := memory.ScopeKeys(c.ID, c.UserID, b.model)
	var parts []string
	if len(b.frequencies.shortest()) > 0 {
		query, args = candidateQuery(c.Tenant, b.frequencies)
		parts = append(parts, query)
	}
	if b.known.recent {
		parts, args = append(parts, selectRecent), append(args, c.Tenant, c.ID, c.Tenant)
	}
	if b.known.facts {
		for _, scope := range scopes {
			parts, args = append(parts, selectScopeFacts), append(args, c.Tenant, scope, c.Tenant)
		}
	}
	if b.known.biases {
		args = append(args, c.Tenant, scopes[0], scopes[1], scopes[2])
		condition := "1 = 1"
		if words := folding.IndexWords(strings.Join(b.said.Folded, "")); len(words) <= maxBiasWords {
			condition, args = wordCondition("anchor", words, args)
		}
		parts, args = append(parts, selectScopeBiases+condition+selectScopeBiasesAfter), append(args, micros(b.now), c.Tenant)
	}
	return strings.Join(parts, " UNION ALL "), args
}

// read fills in what bears on the person's message.
func (p *PreparedTurn) read(ctx context.Context, q database.Querier, b bearing) error {
	query, args := bearingQuery(b)
	if query == "" {
		return nil
	}
	var candidates, recent []memory.Correction
	result, err := q.Query(ctx, query, args...)
	err = rows(result, err, func(row database.Scanner) error {
		var part int
		var strength float64
		k, err := scanCorrection(row, &part, &strength)
		if err != nil {
			return err
		}
		place := k.Place
		switch part {
		case 0:
			candidates = append(candidates, k)
		case 1:
			if k.Scope != memory.ScopeModel || k.Model == b.model {
				recent = append(recent, k)
			}
		case 2:
			p.Facts = append(p.Facts, memory.Fact{
				Tenant: k.Tenant, ID: k.ID, Place: place, Entity: k.RecordedBy, Attribute: k.RevokeReason, Value: k.ErrorContext, Created: k.Created,
			})
		case 3:
			p.Biases = append(p.Biases, memory.Bias{
				Tenant: k.Tenant, ID: k.ID, Place: place, Sequence: k.Subject, CorrectionID: k.ErrorMessageID,
				Context:  memory.Context{Pattern: k.ErrorContext, Then: k.SupersededBy, Gap: int(k.Times), Regex: k.Version == 1},
				Strength: strength, Expires: k.Revoked, HalfLife: time.Duration(halfLife(k.Superseded)) * time.Microsecond, Created: k.Created,
			})
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(recent, func(a, b memory.Correction) int { // neither a join nor a union promises an order
		return cmp.Or(newestFirst(a.Created, b.Created), strings.Compare(b.ID, a.ID))
	})
	scopes := memory.ScopeKeys(b.conversation.ID, b.conversation.UserID, b.model)
	if err := p.stand(ctx, q, b, memory.Bearing(candidates, b.text, b.frequencies), recent, scopes[:]); err != nil {
		return err
	}
	slices.SortFunc(p.Facts, func(a, b memory.Fact) int {
		return cmp.Or(cmp.Compare(a.Scope.Rank(), b.Scope.Rank()), newestFirst(a.Created, b.Created), strings.Compare(b.ID, a.ID))
	})
	slices.SortFunc(p.Biases, func(a, b memory.Bias) int {
		return cmp.Or(cmp.Compare(a.Scope.Rank(), b.Scope.Rank()), newestFirst(a.Created, b.Created), strings.Compare(b.ID, a.ID))
	})
	p.Facts = memory.NarrowestFacts(p.Facts)
	p.Facts = p.Facts[:min(len(p.Facts), memory.MaxTurnFacts)]
	return nil
}

const selectOverruling = `SELECT ` + correctionColumns + ` FROM tbl_l2_correction_log WHERE tenant = ? AND `

// stand leaves of the corrections of one fact the one that stands for it.
func (p *PreparedTurn) stand(ctx context.Context, q database.Querier, b bearing, bears []memory.CorrectionMatch, recent []memory.Correction, scopes []string) error {
	var others []memory.Correction
	if keys := memory.OverrulingKeys(bears, scopes); len(keys) > 0 {
		condition, args := wordCondition("active_key", keys, []any{b.conversation.Tenant})
		result, err := q.Query(ctx, selectOverruling+condition, args...)
		err = rows(result, err, func(row database.Scanner) error {
			k, err := scanCorrection(row)
			others = append(others, k)
			return err
		})
		if err != nil {
			return err
		}
	}
	p.Corrections, p.Recent = memory.Stand(bears, others, recent, b.limit)
	return nil
}

// halfLife reads a duration out of a time that was stored as microseconds.
func halfLife(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// chooseBiases leaves the biases whose context was said, with their strength at the time of the turn. It is done after the
// transaction: expressions take their time.
func (p *PreparedTurn) chooseBiases(said memory.Said) {
	chosen := p.Biases[:0]
	for _, b := range p.Biases {
		if b.Effective = b.At(p.Turn.Created); b.Effective != 0 && len(chosen) < memory.MaxTurnBiases && b.Met(said) {
			chosen = append(chosen, b)
		}
	}
	p.Biases = chosen
}

func newestFirst(a, b time.Time) int { return b.Compare(a) }

package store

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"dbslm/pkg/database"
	"dbslm/services/memory"
	"dbslm/services/memory/matching"
)

const (
	// maxMessageWords bounds the words under which a message is found: the first of its content.
	maxMessageWords = 256
	// maxQueryWords bounds the words of a search.
	maxQueryWords = 16
)

const (
	insertMessageWords = `INSERT INTO tbl_l2_message_words (tenant, word, message_id) VALUES `
	deleteMessageWords = `DELETE FROM tbl_l2_message_words WHERE tenant = ? AND message_id = ? AND word IN `
)

// messageWords returns the terms under which a message is found, sorted.
func messageWords(content string) []string { return matching.MessageTerms(content, maxMessageWords) }

// indexMessage makes a message findable by its words.
func indexMessage(ctx context.Context, tx *database.Tx, tenant, id string, words []string) error {
	_, err := tx.ExecAll(ctx, wordsOfMessage(tenant, id, words)...)
	return err
}

// wordsOfMessage is what indexMessage does; nothing for a message without words.
func wordsOfMessage(tenant, id string, words []string) []database.Command {
	if len(words) == 0 {
		return nil
	}
	args := make([]any, 0, 3*len(words))
	for _, word := range words {
		args = append(args, tenant, word, id)
	}
	return []database.Command{{SQL: insertMessageWords + database.Values(len(words), 3), Args: args}}
}

// unindexMessage takes a message out of the index.
func unindexMessage(ctx context.Context, tx *database.Tx, tenant, id, content string) error {
	words := messageWords(content)
	if len(words) == 0 {
		return nil
	}
	args := []any{tenant, id}
	for _, word := range words {
		args = append(args, word)
	}
	_, err := tx.Exec(ctx, deleteMessageWords+database.In(len(words)), args...)
	return err
}

// SearchQuery asks for a page of messages that hold all of the words, newest first.
type SearchQuery struct {
	Tenant         string
	Words          string
	ConversationID string // only in this one; empty for all
	After          string // id of the last message of the page before; empty for the first page
	Limit          int
}

const (
	selectFound     = `SELECT message_id, size FROM (`
	selectFoundList = `SELECT message_id, size FROM (SELECT w.message_id, OCTET_LENGTH(m.content) AS size FROM tbl_l2_message_words w
  JOIN tbl_l2_messages m ON m.tenant = w.tenant AND m.message_id = w.message_id WHERE w.tenant = ? AND w.word = ?`
	// A scalar: no planner makes a join of it, which would read the whole list of the other word.
	foundWord        = ` AND (SELECT COUNT(*) FROM tbl_l2_message_words x WHERE x.tenant = w.tenant AND x.message_id = w.message_id AND x.word IN `
	foundIn          = ` AND m.conversation_id = ?`
	foundAfter       = ` AND w.message_id < ?`
	foundListEnd     = ` ORDER BY w.message_id DESC LIMIT ?) listed`
	foundNewestFirst = `) found ORDER BY message_id DESC LIMIT ?`
	selectMessagesOf = `SELECT ` + messageColumns + ` FROM tbl_l2_messages WHERE tenant = ? AND message_id IN `
)

// Search returns a page, which is shorter than Limit when its messages are very long, and whether there is another one after
// its last message. Words are compared without case, accents and inflection, of English and of the languages that query and message are in; those that
// carry no content are left out.
func (s *Store) Search(ctx context.Context, q SearchQuery) (page []memory.Message, more bool, err error) {
	words := matching.QueryTerms(q.Words)
	switch {
	case len(words) == 0:
		return nil, false, memory.Invalid("query", "holds no word that carries content; search for a noun, a name or a number")
	case len(words) > maxQueryWords:
		return nil, false, memory.Invalid("query", "holds %d different words; at most %d can be searched for at once", len(words), maxQueryWords)
	}
	if _, err := readNamedConversation(ctx, s.db, q.Tenant, q.ConversationID); err != nil {
		return nil, false, err
	}
	// Long words are rare: their list is walked, the others are only asked.
	slices.SortStableFunc(words, func(a, b []string) int { return cmp.Compare(len(b[0]), len(a[0])) })
	query, args := searchStatement(q, words)
	var ids []string
	size := 0
	result, err := s.db.Query(ctx, query, args...)
	err = rows(result, err, func(row database.Scanner) error {
		var id string
		var length int
		err := row.Scan(&id, &length)
		size += length
		if more = more || len(ids) == q.Limit || len(ids) > 0 && size > pageBytes; !more {
			ids = append(ids, id)
		}
		return err
	})
	if err != nil || len(ids) == 0 {
		return nil, false, err
	}
	page, err = s.messagesOf(ctx, q.Tenant, ids)
	return page, more, err
}

// searchStatement walks the lists of the first word's terms, each from its newest end, and looks for the other words' terms by key.
func searchStatement(q SearchQuery, words [][]string) (string, []any) {
	var query strings.Builder
	query.WriteString(selectFound)
	var args []any
	for i, term := range words[0] {
		if i > 0 {
			query.WriteString(" UNION ") // a message may be in several lists
		}
		query.WriteString(selectFoundList)
		args = append(args, q.Tenant, term)
		for _, terms := range words[1:] {
			query.WriteString(foundWord + database.In(len(terms)) + ") > 0")
			args = append(args, anys(terms)...)
		}
		if q.ConversationID != "" {
			query.WriteString(foundIn)
			args = append(args, q.ConversationID)
		}
		if q.After != "" {
			query.WriteString(foundAfter)
			args = append(args, q.After)
		}
		query.WriteString(foundListEnd)
		args = append(args, q.Limit+1)
	}
	query.WriteString(foundNewestFirst)
	return query.String(), append(args, q.Limit+1)
}

// messagesOf returns the messages of these ids, newest first: ids are in the order of creation.
func (s *Store) messagesOf(ctx context.Context, tenant string, ids []string) (page []memory.Message, err error) {
	args := []any{tenant}
	for _, id := range ids {
		args = append(args, id)
	}
	result, err := s.db.Query(ctx, selectMessagesOf+database.In(len(ids)), args...)
	err = rows(result, err, func(row database.Scanner) error {
		m, err := scanMessage(row)
		page = append(page, m)
		return err
	})
	slices.SortFunc(page, func(a, b memory.Message) int { return strings.Compare(b.ID, a.ID) })
	return page, err
}

package store

import (
	"context"
	"slices"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/memory"
	"dbslm/services/memory/window"
)

const messageColumns = `message_id, conversation_id, seq, COALESCE(request_id, ''), COALESCE(turn_id, ''), sender, finish_reason, content_end, created_at, content`

func scanMessage(row database.Scanner, more ...any) (memory.Message, error) {
	var m memory.Message
	var created int64
	err := row.Scan(append(more, &m.ID, &m.ConversationID, &m.Seq, &m.RequestID, &m.TurnID, &m.Sender, &m.FinishReason, &m.End, &created, &m.Content)...)
	m.Created = fromMicros(created)
	return m, err
}

const insertMessage = `INSERT INTO tbl_l2_messages (tenant, conversation_id, seq, message_id, request_id, turn_id, sender, finish_reason, content_end, created_at, content)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// loggedMessage logs a message and makes it findable by its words, which its writer worked out before the transaction.
func loggedMessage(tenant string, m memory.Message, words []string) []database.Command {
	log := database.Command{SQL: insertMessage, Args: []any{
		tenant, m.ConversationID, m.Seq, m.ID, nullString(m.RequestID), nullString(m.TurnID),
		string(m.Sender), m.FinishReason, m.End, micros(m.Created), m.Content,
	}}
	return append([]database.Command{log}, wordsOfMessage(tenant, m.ID, words)...)
}

const (
	selectMessageByRequest = `SELECT ` + messageColumns + ` FROM tbl_l2_messages WHERE tenant = ? AND conversation_id = ? AND request_id = ?`
	selectMessageBySeq     = `SELECT ` + messageColumns + ` FROM tbl_l2_messages WHERE tenant = ? AND conversation_id = ? AND seq = ?`
	selectMessage          = `SELECT ` + messageColumns + ` FROM tbl_l2_messages WHERE tenant = ? AND message_id = ?`
)

// AppendMessage logs a message outside a turn: m names conversation, request, sender, content and time. The same request id
// returns the message that is stored.
func (s *Store) AppendMessage(ctx context.Context, tenant string, m memory.Message) (memory.Message, error) {
	var err error
	if m.ID, err = newID(); err != nil {
		return m, err
	}
	words := messageWords(m.Content)
	var stored memory.Message
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		c, err := s.lockConversation(ctx, tx, tenant, m.ConversationID)
		if err != nil {
			return err
		}
		stored, err = scanMessage(tx.QueryRow(ctx, selectMessageByRequest, tenant, m.ConversationID, m.RequestID))
		switch {
		case err == nil:
			if stored.TurnID != "" || stored.Content != m.Content || stored.Sender != m.Sender {
				return memory.RequestIDReused(m.RequestID)
			}
			return nil
		case !errors.Is(err, database.ErrNoRows):
			return err
		case c.Archived:
			return memory.ConversationIsArchived(c.ID)
		}
		stored = m
		c, stored.Seq, stored.End = c.Append(m.Sender, len(m.Content), m.Created)
		_, err = tx.ExecAll(ctx, append(loggedMessage(tenant, stored, words), changedConversation(c))...)
		return err
	})
	return stored, err
}

// Message returns one message.
func (s *Store) Message(ctx context.Context, tenant, id string) (memory.Message, error) {
	m, err := scanMessage(s.db.QueryRow(ctx, selectMessage, tenant, id))
	if errors.Is(err, database.ErrNoRows) {
		return m, memory.NotFound("message", id)
	}
	return m, err
}

// The latest messages of a conversation up to a seq, by number and by bytes of content: one range of the primary key, whose
// length does not depend on how much was said before.
const selectWindow = `SELECT ` + messageColumns + ` FROM tbl_l2_messages
WHERE tenant = ? AND conversation_id = ? AND seq > ? AND seq <= ? AND content_end > ? ORDER BY seq`

// Window returns the window of a conversation as it is now.
func (s *Store) Window(ctx context.Context, tenant, conversationID string, bounds window.Bounds) (w window.Window, err error) {
	err = s.db.InReadTx(ctx, func(tx *database.Tx) error {
		c, err := readConversation(ctx, tx, tenant, conversationID, "")
		if err != nil {
			return err
		}
		w, err = readWindow(ctx, tx, tenant, conversationID, bounds, c.Messages(), c.ContentBytes)
		return err
	})
	return w, err
}

// WindowBefore returns the window that ends before a message of the conversation, as the reply to it saw it.
func (s *Store) WindowBefore(ctx context.Context, tenant, conversationID, messageID string, bounds window.Bounds) (w window.Window, err error) {
	err = s.db.InReadTx(ctx, func(tx *database.Tx) error {
		m, err := scanMessage(tx.QueryRow(ctx, selectMessage, tenant, messageID))
		if errors.Is(err, database.ErrNoRows) || err == nil && m.ConversationID != conversationID {
			return memory.NotFound("message", messageID)
		}
		if err != nil {
			return err
		}
		w, err = readWindow(ctx, tx, tenant, conversationID, bounds, m.Seq-1, m.End-int64(len(m.Content)))
		return err
	})
	return w, err
}

// readWindow returns the window that ends with message last, up to which the conversation holds that many bytes of content, or
// before it where the bounds say so.
func readWindow(ctx context.Context, q database.Querier, tenant, conversationID string, bounds window.Bounds, last, contentBytes int64) (window.Window, error) {
	if end := bounds.End(last); end < last {
		m, err := scanMessage(q.QueryRow(ctx, selectMessageBySeq, tenant, conversationID, end))
		if errors.Is(err, database.ErrNoRows) { // removed since, and all before it
			return bounds.Choose(nil, end), nil
		}
		if err != nil {
			return window.Window{}, err
		}
		last, contentBytes = end, m.End
	}
	var latest []memory.Message
	result, err := q.Query(ctx, selectWindow, tenant, conversationID, last-bounds.Messages(), last, contentBytes-bounds.Bytes())
	err = rows(result, err, func(row database.Scanner) error {
		m, err := scanMessage(row)
		latest = append(latest, m)
		return err
	})
	if err != nil {
		return window.Window{}, err
	}
	return bounds.Choose(latest, last), nil
}

// pageBytes bounds the content of a page of messages, which gRPC must be able to carry; one message always fits.
const pageBytes = 4 << 20

// AfterMessage is a place in a list of messages: the last one of the page before and its End.
type AfterMessage struct {
	Seq int64
	End int64
}

// MessageQuery asks for a page of a conversation's messages.
type MessageQuery struct {
	Tenant         string
	ConversationID string
	NewestFirst    bool
	After          *AfterMessage // nil for the first page
	Limit          int
}

const (
	selectMessagesForward = `SELECT ` + messageColumns + ` FROM tbl_l2_messages
WHERE tenant = ? AND conversation_id = ? AND seq > ? AND seq <= ? AND (content_end <= ? OR seq = ?) ORDER BY seq`
	selectMessagesBackward = `SELECT ` + messageColumns + ` FROM tbl_l2_messages
WHERE tenant = ? AND conversation_id = ? AND seq < ? AND seq >= ? AND content_end > ? ORDER BY seq DESC`
)

// Messages returns a page, which holds fewer than Limit messages when these are very long, and the place where the next one
// begins, nil at the end.
func (s *Store) Messages(ctx context.Context, q MessageQuery) (page []memory.Message, next *AfterMessage, err error) {
	limit := int64(q.Limit)
	err = s.db.InReadTx(ctx, func(tx *database.Tx) error {
		c, err := readConversation(ctx, tx, q.Tenant, q.ConversationID, "")
		if err != nil {
			return err
		}
		query, args := selectMessagesForward, []any{q.Tenant, q.ConversationID}
		if q.NewestFirst {
			from := AfterMessage{c.Messages() + 1, c.ContentBytes}
			if q.After != nil {
				from = *q.After
			}
			query, args = selectMessagesBackward, append(args, from.Seq, from.Seq-limit, from.End-pageBytes)
		} else {
			from := AfterMessage{c.Removed, c.RemovedBytes}
			if q.After != nil && q.After.Seq > from.Seq {
				from = *q.After
			}
			args = append(args, from.Seq, from.Seq+limit, from.End+pageBytes, from.Seq+1)
		}
		page, next = nil, nil
		result, err := tx.Query(ctx, query, args...)
		err = rows(result, err, func(row database.Scanner) error {
			m, err := scanMessage(row)
			page = append(page, m)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		last := page[len(page)-1]
		switch {
		case q.NewestFirst && last.Seq > c.Removed+1:
			next = &AfterMessage{last.Seq, last.End - int64(len(last.Content))}
		case !q.NewestFirst && last.Seq < c.Messages():
			next = &AfterMessage{last.Seq, last.End}
		}
		return nil
	})
	return page, next, err
}

const selectMessagesNamed = `SELECT message_id FROM tbl_l2_messages WHERE tenant = ? AND conversation_id = ? AND message_id IN (?, ?)`

// checkMessages refuses message ids that are not in the conversation; empty ones are not looked for.
func checkMessages(ctx context.Context, q database.Querier, tenant, conversationID string, ids ...string) error {
	var found []string
	result, err := q.Query(ctx, selectMessagesNamed, tenant, conversationID, ids[0], ids[1])
	err = rows(result, err, func(row database.Scanner) error {
		var id string
		err := row.Scan(&id)
		found = append(found, id)
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		if id != "" && !slices.Contains(found, id) {
			return memory.NotFound("message", id)
		}
	}
	return nil
}

const selectQuestionBefore = `SELECT q.content, m.content FROM tbl_l2_messages m JOIN tbl_l2_messages q
ON q.tenant = m.tenant AND q.conversation_id = m.conversation_id AND q.seq = m.seq - 1
WHERE m.tenant = ? AND m.message_id = ? AND m.sender = 'assistant' AND q.sender = 'user'`

// questionBefore returns what the person had said before the reply that a correction calls wrong, and that reply; empty when there
// is none.
func questionBefore(ctx context.Context, q database.Querier, k memory.Correction) (question, reply string, err error) {
	if k.ErrorMessageID == "" {
		return "", "", nil
	}
	err = q.QueryRow(ctx, selectQuestionBefore, k.Tenant, k.ErrorMessageID).Scan(&question, &reply)
	if errors.Is(err, database.ErrNoRows) {
		return "", "", nil
	}
	return question, reply, err
}

// replyTo returns the reply to a turn as the conversation's last message.
func replyTo(c memory.Conversation, t memory.Turn, id string, reply Reply, now time.Time) (memory.Conversation, memory.Message) {
	m := memory.Message{
		ID: id, ConversationID: c.ID, TurnID: t.ID, Sender: memory.SenderAssistant,
		Content: reply.Content, FinishReason: reply.FinishReason, Created: now,
	}
	c, m.Seq, m.End = c.Append(m.Sender, len(m.Content), now)
	return c, m
}

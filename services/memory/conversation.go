package memory

import (
	"time"
	"unicode"
)

// Conversation is one thread of messages with its figures.
type Conversation struct {
	Tenant    string
	ID        string
	RequestID string // of the request that created it; empty for none
	UserID    string
	AgentID   string
	Title     string
	Metadata  map[string]string
	Archived  bool
	Created   time.Time
	Updated   time.Time
	Statistics
	// ContentBytes is the length of all its messages' content.
	ContentBytes int64
	// Removed is how many messages retention removed, those with the lowest seqs; RemovedBytes the End of the last of them. The
	// statistics count them still.
	Removed      int64
	RemovedBytes int64
	// Carried is what the last committed turn carries on to the next; nil for nothing. It is the gateway's business.
	Carried []byte
	// OpenTurnID is the one turn that waits for its reply; empty for none.
	OpenTurnID string
	// OpenUntil is when the open turn's lease ends.
	OpenUntil time.Time
}

// Statistics are the figures of a conversation, kept up to date with every change rather than counted.
type Statistics struct {
	UserMessages      int64
	AssistantMessages int64
	CommittedTurns    int64
	FailedTurns       int64
	Corrections       int64     // active ones that were made in it
	First, Last       time.Time // of its messages; zero when there are none
}

// Messages is how many messages there are; it is also the seq of the last one.
func (s Statistics) Messages() int64 { return s.UserMessages + s.AssistantMessages }

// Message is one stored message.
type Message struct {
	ID             string
	ConversationID string
	Seq            int64 // from 1, without gaps
	RequestID      string
	TurnID         string // empty outside turns
	Sender         Sender
	Content        string
	FinishReason   string // of a reply
	// End is the length of all content of the conversation up to and including this message, in bytes.
	End     int64
	Created time.Time
}

// Append returns the conversation with one more message of that sender and length at its end, and the message's Seq and End.
func (c Conversation) Append(sender Sender, bytes int, now time.Time) (next Conversation, seq, end int64) {
	next = c
	if sender == SenderUser {
		next.UserMessages++
	} else {
		next.AssistantMessages++
	}
	next.ContentBytes += int64(bytes)
	if next.First.IsZero() {
		next.First = now
	}
	next.Last, next.Updated = now, now
	return next, next.Messages(), next.ContentBytes
}

// CheckMetadata refuses more metadata than a list of conversations could carry.
func CheckMetadata(metadata map[string]string) error {
	size := 0
	for k, v := range metadata {
		if k == "" {
			return Invalid("metadata", "a key is empty")
		}
		size += len(k) + len(v)
	}
	if size > MaxMetadataBytes {
		return Invalid("metadata", "keys and values together take %d bytes; at most %d are kept", size, MaxMetadataBytes)
	}
	return nil
}

func isSpace(r rune) bool { return unicode.IsSpace(r) }

package memory

import (
	"crypto/sha256"
	"encoding/hex"
)

// Subject is whose data an export or an erasure is about: a person or a conversation, one of the two.
type Subject struct {
	UserID         string
	ConversationID string
}

// Kind is "user" or "conversation".
func (s Subject) Kind() string {
	if s.UserID != "" {
		return "user"
	}
	return "conversation"
}

// Digest names the subject without telling it: who knows the id can recognise it.
func (s Subject) Digest(tenant string) string {
	sum := sha256.Sum256([]byte(tenant + "\x00" + s.Kind() + "\x00" + s.UserID + s.ConversationID))
	return hex.EncodeToString(sum[:])
}

package memory

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"dbslm/services/memory/folding"
	"dbslm/services/memory/matching"
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

// WithoutConversation returns the correction as it goes on after its conversation: without references to it, and of the question
// that was asked in it only the words, by which it is still found.
func (c Correction) WithoutConversation(id string) Correction {
	if c.ConversationID == id {
		c.ConversationID, c.ErrorMessageID, c.CorrectionMessageID = "", "", ""
	}
	if c.AskedIn == id {
		c.Cue, c.AskedIn = matching.Unordered(c.Cue), ""
	}
	return c
}

// WithoutPerson returns a correction of a model without a person's name and words: entity, attribute and value stay, as the
// reviewer approved them. It reports false when neither entity nor attribute says what the value is of; then nothing should stay.
func (c Correction) WithoutPerson(id string) (Correction, bool) {
	if c.AskedBy == id || c.AskedBy == "" && c.RecordedBy == id {
		if strings.HasPrefix(c.Cue, c.ErrorContext) || strings.HasPrefix(c.ErrorContext, c.Cue) { // the question itself
			c.ErrorContext = ""
		}
		c.Cue, c.AskedBy, c.AskedIn = "", "", ""
	}
	if c.RecordedBy == id {
		c.ErrorContext, c.Fact.Extra, c.RevokeReason, c.RecordedBy = "", "", "", ""
	}
	c.Subject = cmp.Or(subject(c.Fact.Entity, c.Fact.Attribute), strings.TrimSpace(folding.Text(c.ErrorContext))) // without a digest of the question
	c.Version++
	return c, c.Key().Phrase() != ""
}

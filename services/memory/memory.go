// Package memory is level 2 of DB-SLM: what was said, what was corrected, and what must not be said again.
//
// Data flows one way:
//
//	request → server → values of this package → store (one transaction) → values → response
//	                     folding → matching        which corrections and biases bear on a text
//	                     window                    which messages a reply may see
//
// This package holds the values and the rules that need nothing but values: how long a turn may stay open and what ends it,
// what a correction is about, what a name may look like. Time is a parameter. The packages below it are pure too, except
// store, the only one that speaks SQL, and server, the only one that speaks protobuf.
package memory

import (
	"time"
	"unicode/utf8"
)

// DefaultTenant owns what names no tenant.
const DefaultTenant = "default"

// Names that stand for themselves when a conversation is begun without any.
const (
	DefaultUserID  = "anonymous"
	DefaultAgentID = "db-slm"
)

// Limits. Those on single fields are in the protos; these are the ones that the protos cannot say.
const (
	DefaultLease     = 60 * time.Second
	MaxLease         = 10 * time.Minute
	MaxMetadataBytes = 8 << 10 // keys and values of a conversation's metadata together
	MaxFactExtra     = 16 << 10
	MaxPatternBytes  = 4096 // pattern of a bias
	MaxSequenceBytes = 1024 // sequence of a bias
	maxUserBytes     = 256  // where the protos do not say it
	maxModelBytes    = 128
	MaxStrength      = 20.0 // log10 units, either way
	MaxTurnFacts     = 100
	MaxTurnBiases    = 64
	RecentCorrection = 5 // corrections of the conversation handed to a turn whether or not they match

	DefaultCorrections = 5 // matches handed out unless more are asked for
)

// Sender says who wrote a message.
type Sender string

// The senders, as they are stored.
const (
	SenderUser      Sender = "user"
	SenderAssistant Sender = "assistant"
)

// Scope says where something applies.
type Scope string

// The scopes, narrowest first, as they are stored.
const (
	ScopeConversation Scope = "conversation"
	ScopeUser         Scope = "user"
	ScopeModel        Scope = "model"
)

// Rank orders scopes: the narrower wins.
func (s Scope) Rank() int {
	switch s {
	case ScopeConversation:
		return 0
	case ScopeUser:
		return 1
	}
	return 2
}

// Place is where a correction, fact or bias applies. Only the id that belongs to Scope decides; the others may say where it
// came from.
type Place struct {
	Scope          Scope
	ConversationID string
	UserID         string
	Model          string
}

// Key is the place as one string: equal keys of one tenant are one scope.
func (p Place) Key() string {
	switch p.Scope {
	case ScopeConversation:
		return "c:" + p.ConversationID
	case ScopeUser:
		return "u:" + p.UserID
	}
	return "m:" + p.Model
}

// ScopeKeys are the keys of the three scopes that hold in a conversation of that person answered by that model, narrowest
// first. Without a model the last one matches nothing.
func ScopeKeys(conversationID, userID, model string) [3]string {
	return [3]string{
		Place{Scope: ScopeConversation, ConversationID: conversationID}.Key(),
		Place{Scope: ScopeUser, UserID: userID}.Key(),
		Place{Scope: ScopeModel, Model: model}.Key(),
	}
}

// CheckName refuses what may not name a tenant, person, agent, model or request: control characters, and white space at
// either end, which databases ignore when they compare. Length is the protos' matter. field is the request's field.
func CheckName(field, value string) error {
	first, _ := utf8.DecodeRuneInString(value)
	last, _ := utf8.DecodeLastRuneInString(value)
	if value != "" && (isSpace(first) || isSpace(last)) {
		return Invalid(field, "must not begin or end with white space")
	}
	for _, r := range value {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return Invalid(field, "must not hold control characters")
		}
	}
	return nil
}

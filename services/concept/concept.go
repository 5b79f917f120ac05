// Package concept is level 3 of DB-SLM: it decides what to say as a whole span, fills it and says it.
//
// Data flows one way:
//
//	NextRequest → server → signals of the conversation (store) ─┐
//	                       bot (store, cached by its version)   ├→ choice → payload → template → Span, or abstention
//	                       predict: features → probabilities ───┘
//
// This package holds the values and the rules that need nothing but values. template, schema, predict and digest
// below it are pure too; store alone speaks SQL, server alone protobuf.
package concept

import "time"

// Names that stand for themselves when a request gives none.
const (
	DefaultTenant   = "default"
	DefaultBot      = "default"
	DefaultTemplate = "default"
)

// Bot names a set of concepts of a tenant.
type Bot struct{ Tenant, Name string }

// Concept is one unit of meaning.
type Concept struct {
	Name        string
	Description string
	Schema      string // JSON Schema, expanded; "" for no payload
	Priority    int32
	Disabled    bool
	Static      string // JSON object; "" for none
	Provider    string // address of a payload provider; "" for none
	Slots       string // slots that are read from what a person says, as slots.Set writes them; "" for none
	CoolDown    uint32 // replies after one of its own in which prediction does not choose it
	BuiltIn     bool
	Version     uint32
	Updated     time.Time
}

// Template is one way to say a concept.
type Template struct {
	ID        string
	Concept   string
	Name      string
	Language  string // "" is the default language
	Text      string
	Weight    float64
	Condition string
	Tags      string // labels that a request may prefer, sorted, with blanks between
	Asks      string // slot that it asks the person for; "" for a template that says the concept
	Version   uint32
}

// TemplateName is the name of a template that was given none: "default", or "ask_SLOT" for one that asks for a slot.
func TemplateName(asks string) string {
	if asks != "" {
		return "ask_" + asks
	}
	return DefaultTemplate
}

// Example is an utterance that should lead to a concept.
type Example struct{ Concept, Utterance string }

// Build is one immutable build of a bot's decision model.
type Build struct {
	ID              uint32
	Examples        int64 // that it was made of, the built-in ones too
	Concepts        uint32
	ExamplesVersion int64   // of the set of examples
	Formula         int64   // version of the arithmetic
	Scale           float64 // of scores before they become probabilities
	Threshold       float64 // probability below which it abstains
	Created         time.Time
	Published       bool // it decides
}

// SignalState is the state of a signal.
type SignalState string

// The states of a signal, as they are stored. A waiting signal whose time has passed counts as expired.
const (
	SignalWaiting   SignalState = "waiting"
	SignalClaimed   SignalState = "claimed"
	SignalConfirmed SignalState = "confirmed"
	SignalCancelled SignalState = "cancelled"
	SignalExpired   SignalState = "expired"
)

// Signal is a request that a concept speaks in a conversation.
type Signal struct {
	ID           string
	Tenant       string
	Conversation string
	Bot          string
	Concept      string
	Score        float64
	Payload      string // JSON object; "" for none
	State        SignalState
	Due          time.Time     // before which it does not speak; zero for at once
	Repeat       time.Duration // after which it is due again; 0 for once
	Expires      time.Time     // zero for never
	Turn         string        // that claimed or spoke it
	Created      time.Time
}

// Expired reports whether a signal that still waits may no longer speak.
func (s Signal) Expired(now time.Time) bool {
	return s.State == SignalWaiting && !s.Expires.IsZero() && !now.Before(s.Expires)
}

// At is the signal as it waits at a time: a repeated one that expired unheard waits for its next time.
func (s Signal) At(now time.Time) Signal {
	if s.Repeat > 0 && s.Expired(now) {
		over := now.Sub(s.Expires)
		ahead := over - over%s.Repeat + s.Repeat // whole repeats
		s.Due, s.Expires = s.Due.Add(ahead), s.Expires.Add(ahead)
	}
	return s
}

// Next is the same signal at its next time, after it has spoken.
func (s Signal) Next() Signal {
	s.State, s.Turn = SignalWaiting, ""
	s.Due, s.Expires = s.Due.Add(s.Repeat), s.Expires.Add(s.Repeat)
	return s
}

// Fact is what memory knows: told, or corrected when CorrectionID is set.
type Fact struct {
	Entity, Attribute, Value string
	CorrectionID             string
	ErrorContext             string
	Bears                    bool // on the text at hand
}

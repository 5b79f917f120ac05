package memory

import (
	"time"
)

// TurnState is the state of a turn.
type TurnState string

// The states, as they are stored. A turn is opened once and closed once; the two closed states never change again.
const (
	TurnOpen      TurnState = "open"
	TurnCommitted TurnState = "committed"
	TurnFailed    TurnState = "failed"
)

// Failures that nobody named.
const (
	leaseRanOut   = "no reply came before the lease ran out"
	noReasonGiven = "no reason was given"
)

// Pins are the choices that a retry of a turn must repeat.
type Pins struct {
	Seed           uint64
	Model          string
	NgramBuildID   uint32
	ConceptBuildID uint32
}

// Turn is one exchange: the person's message and the reply to it.
type Turn struct {
	Tenant         string
	ID             string
	ConversationID string
	RequestID      string
	State          TurnState
	LeaseUntil     time.Time
	Pins           Pins
	UserMessageID  string
	UserSeq        int64
	ReplyMessageID string // of a committed turn
	ReplySeq       int64
	Failure        string // of a failed turn
	Created        time.Time
	Closed         time.Time // zero while open
}

// Expired reports whether the turn is open on paper only: its lease has run out, so nobody may rely on it any more. Every
// operation that meets such a turn closes it; until then readers treat it as failed.
func (t Turn) Expired(now time.Time) bool {
	return t.State == TurnOpen && !now.Before(t.LeaseUntil)
}

// Fail returns the turn closed without a reply.
func (t Turn) Fail(reason string, now time.Time) Turn {
	if reason == "" {
		reason = noReasonGiven
	}
	t.State, t.Failure, t.Closed = TurnFailed, reason, now
	return t
}

// Expire returns the turn closed because its lease ran out.
func (t Turn) Expire(now time.Time) Turn { return t.Fail(leaseRanOut, now) }

// Commit returns the turn closed with a reply.
func (t Turn) Commit(replyID string, replySeq int64, now time.Time) Turn {
	t.State, t.ReplyMessageID, t.ReplySeq, t.Closed = TurnCommitted, replyID, replySeq, now
	return t
}

// Lease returns how long a turn may stay open: asked, within bounds.
func Lease(asked time.Duration) (time.Duration, error) {
	switch {
	case asked == 0:
		return DefaultLease, nil
	case asked < 0 || asked > MaxLease:
		return 0, Invalid("lease", "must be above 0 and at most %s; leave it out for %s", MaxLease, DefaultLease)
	}
	return asked, nil
}

// Trace is what cannot be recomputed about a reply. Its body and its detail are the gateway's business.
type Trace struct {
	MessageID      string
	Version        uint32
	Body           []byte // what a replay needs
	Detail         []byte // what it does not need; nil for none, or when it was thinned
	Forgotten      bool   // what level 1 wrote in it was removed
	Thinned        bool
	NgramBuildID   uint32
	ConceptBuildID uint32
	Model          string
}

package memory

import (
	"fmt"
	"time"

	"dbslm/pkg/errors"
)

// Reasons that programs may switch on.
const (
	ReasonInvalid          = "INVALID_REQUEST"
	ReasonArchived         = "CONVERSATION_ARCHIVED"
	ReasonTurnOpen         = "TURN_OPEN"
	ReasonTurnFailed       = "TURN_FAILED"
	ReasonTurnCommitted    = "TURN_COMMITTED"
	ReasonCorrectionEnded  = "CORRECTION_ENDED"
	ReasonCorrectionScope  = "CORRECTION_SCOPE"
	ReasonRequestIDReused  = "REQUEST_ID_REUSED"
	ReasonChangedMeanwhile = "CHANGED_MEANWHILE"
	ReasonStoredValue      = "STORED_VALUE"
	ReasonTooManyBiases    = "TOO_MANY_REGEX_BIASES"
)

// notFoundSuffix follows CONVERSATION, MESSAGE, TURN, CORRECTION, FACT, BIAS and TRACE.
const notFoundSuffix = "_NOT_FOUND"

// Invalid blames one field of a request.
func Invalid(field, format string, args ...any) *errors.Error {
	description := fmt.Sprintf(format, args...)
	return errors.New(errors.InvalidArgument, ReasonInvalid, "%s: %s", field, description).Field(field, description)
}

// NotFound says that there is no such thing: thing is what it is called ("conversation"). Another tenant's thing is as
// unknown as one that never was.
func NotFound(thing, id string) *errors.Error {
	reason := ""
	for _, r := range thing {
		if r >= 'a' && r <= 'z' {
			r -= 'a' - 'A'
		}
		reason += string(r)
	}
	return errors.New(errors.NotFound, reason+notFoundSuffix, "there is no %s %q", thing, id).With(thing+"_id", id)
}

// ConversationIsArchived refuses a change to a conversation that was closed.
func ConversationIsArchived(id string) *errors.Error {
	return errors.New(errors.FailedPrecondition, ReasonArchived,
		"conversation %s is archived and takes no new messages; begin another one", id).With("conversation_id", id)
}

// TurnIsOpen tells a second writer to wait for at most the rest of the first one's lease.
func TurnIsOpen(c Conversation, now time.Time) *errors.Error {
	return errors.New(errors.Aborted, ReasonTurnOpen,
		"conversation %s is waiting for the reply to an earlier message; send this one again afterwards", c.ID).
		With("turn_id", c.OpenTurnID).RetryAfter(max(c.OpenUntil.Sub(now), time.Millisecond))
}

// TurnHasFailed refuses to go on with a turn that ended without a reply.
func TurnHasFailed(t Turn) *errors.Error {
	return errors.New(errors.FailedPrecondition, ReasonTurnFailed,
		"turn %s ended without a reply (%s); send the message again with a new request id", t.ID, t.Failure).With("turn_id", t.ID)
}

// TurnIsCommitted refuses to fail a turn that has its reply.
func TurnIsCommitted(t Turn) *errors.Error {
	return errors.New(errors.FailedPrecondition, ReasonTurnCommitted,
		"turn %s has its reply already, message %s; it cannot fail any more", t.ID, t.ReplyMessageID).With("turn_id", t.ID)
}

// RequestIDReused refuses a request id that came with another request before.
func RequestIDReused(requestID string) *errors.Error {
	return errors.New(errors.InvalidArgument, ReasonRequestIDReused,
		"request id %q was used for another request; give every request an id of its own, and repeat a request unchanged", requestID).
		Field("request_id", "was used for another request")
}

// ChangedMeanwhile reports that a record was changed between reading and writing it.
func ChangedMeanwhile(thing, id string) *errors.Error {
	return errors.New(errors.Aborted, ReasonChangedMeanwhile, "%s %s was changed by somebody else at the same time; try again", thing, id)
}

// StoredValue reports a stored value that this program cannot read: somebody else wrote it, or the store is damaged.
func StoredValue(err error, thing, id string) *errors.Error {
	return errors.Wrap(err, errors.DataLoss, ReasonStoredValue, "%s %s holds a stored value that cannot be read; restore it from a backup or delete it", thing, id)
}

// CorrectionHasEnded refuses to change a correction that no longer holds.
func CorrectionHasEnded(c Correction) *errors.Error {
	what := "was revoked; record it anew if it holds again"
	if c.SupersededBy != "" {
		what = "was superseded by correction " + c.SupersededBy + "; change that one"
	}
	return errors.New(errors.FailedPrecondition, ReasonCorrectionEnded, "correction %s %s", c.ID, what).With("correction_id", c.ID)
}

// OtherScope refuses a successor that does not hold where the correction holds.
func OtherScope(c, by Correction) *errors.Error {
	return errors.New(errors.FailedPrecondition, ReasonCorrectionScope,
		"correction %s has scope %s and correction %s has another one; record the successor in the scope of the one it replaces", c.ID, c.Scope, by.ID).
		With("correction_id", c.ID)
}

// TooManyRegexBiases refuses one more expression: each is compared with every turn of its scope.
func TooManyRegexBiases(scope Scope) *errors.Error {
	return errors.New(errors.FailedPrecondition, ReasonTooManyBiases,
		"there are %d biases with regular expressions in this %s already; remove one, or use words for a pattern", MaxRegexBiases, scope)
}

package memory

import (
	"slices"

	"dbslm/pkg/errors"
)

// TraceState says what is left of a trace.
type TraceState string

// The states, as they are stored.
const (
	TraceFull      TraceState = "full"
	TraceThinned   TraceState = "thinned"   // its detail was removed
	TraceForgotten TraceState = "forgotten" // what level 1 wrote was removed, because a document was forgotten
)

// ReasonBuildForgotten is the reason of a refusal: the build that wrote a reply is gone, because a document that it saw was forgotten.
const ReasonBuildForgotten = "BUILD_FORGOTTEN"

// Forgetting removes from replies what builds of a language model wrote.
type Forgetting struct {
	Tenant      string
	RequestID   string
	Model       string
	Builds      []uint32
	Traces      int64 // stripped by it
	Shortened   int64 // replies that lost a part of their text by it
	Corrections int64 // corrections that did
	Finished    bool
	Quoting     Trace // for replies of other builds that quoted a word that is gone
}

// Writes reports whether a trace is of a reply of the builds that is still as they wrote it.
func (f Forgetting) Writes(t Trace) bool {
	return !t.Forgotten && t.Model == f.Model && slices.Contains(f.Builds, t.NgramBuildID)
}

// WrittenReply is a reply with its trace.
type WrittenReply struct {
	MessageID string
	Content   string
	Trace     Trace
	Gone      []string // of a reply that is to be shortened: words of it that no document has any more
}

// BuildIsForgotten refuses to store a reply from a build that is gone.
func BuildIsForgotten(model string, build uint32) *errors.Error {
	return errors.New(errors.FailedPrecondition, ReasonBuildForgotten,
		"build %d of model %q was forgotten with a document while it wrote the reply; send the message again with a new request id", build, model).With("model", model)
}

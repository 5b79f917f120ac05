// Package errors is how every layer of DB-SLM says that something failed.
//
// An *Error carries what a caller may know — a kind, a stable reason, a public sentence, metadata — and
// wraps what only the operator may know: the cause. The text from Error is for the log and names the
// cause; the text from Public is for the person who asked and never does, unless its author put it there.
//
//	store:   errors.Wrap(err, errors.Unavailable, "STORE_DOWN", "the model store does not answer; try again")
//	domain:  errors.New(errors.NotFound, "MODEL_NOT_FOUND", "there is no model %q; list them with `dbslm models`", name).With("model", name)
//	server:  returns what it got; package rpc turns it into a gRPC status with details, and back at the other end
//
// The package knows no gRPC and no SQL, so every layer may import it. It re-exports Is, As, AsType,
// Unwrap and Join, so that a file never needs the standard package of the same name beside it.
package errors

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
)

// Error is a failure with a public side and a private cause. Make one with New or Wrap. It is
// immutable: With, Field and RetryAfter return a changed copy, so a package may keep an *Error as a
// sentinel and decorate it for each use.
type Error struct {
	kind       Kind
	reason     string
	public     string
	cause      error
	causeShown bool // the public text already contains the cause
	metadata   map[string]string
	fields     []FieldViolation
	retryAfter time.Duration
}

// FieldViolation names one field of a request and what is wrong with it.
type FieldViolation struct {
	// Path is the field as the protocol spells it: "options.top_k", "documents[3].label".
	Path string
	// Description is a sentence for the person who sent the request.
	Description string
}

// New returns an error of the given kind. The reason is a stable UPPER_SNAKE identifier that programs
// may switch on. Format and args make the public text. A %w verb wraps its argument and shows it in the
// public text: an *Error by its own public text, any other error in full. Use Wrap for a cause that
// callers must not see.
func New(kind Kind, reason, format string, args ...any) *Error {
	formatted := fmt.Errorf(format, args...)
	e := &Error{kind: kind, reason: reason, public: formatted.Error()}
	e.cause = errors.Unwrap(formatted)
	if several, ok := formatted.(interface{ Unwrap() []error }); ok {
		e.cause = errors.Join(several.Unwrap()...)
	}
	e.causeShown = e.cause != nil
	if slices.ContainsFunc(args, hasPrivateText) {
		e.public = fmt.Errorf(format, publicArgs(args)...).Error()
		e.causeShown = false
	}
	return e
}

// Wrap returns an error of the given kind whose cause is err. Format and args make the public text; the
// cause appears in the log only. Wrap keeps nothing else of err: kind, reason and metadata are the new ones.
func Wrap(err error, kind Kind, reason, format string, args ...any) *Error {
	e := New(kind, reason, format, args...)
	if e.cause != nil {
		err = errors.Join(err, e.cause)
	}
	e.cause, e.causeShown = err, false
	return e
}

// hasPrivateText reports whether an argument is an error whose Error text says more than its public text.
func hasPrivateText(arg any) bool {
	err, ok := arg.(error)
	if !ok {
		return false
	}
	e, ok := AsType[*Error](err)
	return ok && e.public != err.Error()
}

func publicArgs(args []any) []any {
	out := slices.Clone(args)
	for i, arg := range args {
		if hasPrivateText(arg) {
			out[i] = errors.New(Public(arg.(error)))
		}
	}
	return out
}

// Error returns the public text followed by the cause, for the log.
func (e *Error) Error() string {
	if e.cause == nil || e.causeShown {
		return e.public
	}
	return e.public + ": " + e.cause.Error()
}

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// Is makes errors.Is match two errors of the same kind and the same non-empty reason, whatever their
// texts and metadata, also when one of them has crossed a network.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.kind == e.kind && t.reason == e.reason && e.reason != ""
}

// With returns a copy of e that carries one more metadata pair; it reaches the client as
// ErrorInfo.metadata. Keys are lower_snake; values are public.
func (e *Error) With(key, value string) *Error {
	c := *e
	c.metadata = maps.Clone(e.metadata)
	if c.metadata == nil {
		c.metadata = make(map[string]string, 1)
	}
	c.metadata[key] = value
	return &c
}

// Field returns a copy of e that also blames one field of the request; it reaches the client as a
// BadRequest field violation.
func (e *Error) Field(path, description string) *Error {
	c := *e
	c.fields = append(slices.Clip(e.fields), FieldViolation{Path: path, Description: description})
	return &c
}

// RetryAfter returns a copy of e that tells the client to wait at least d (> 0) before it tries again;
// it reaches the client as RetryInfo. A d of zero or less takes the advice away.
func (e *Error) RetryAfter(d time.Duration) *Error {
	c := *e
	c.retryAfter = max(d, 0)
	return &c
}

// Kind returns what sort of failure e is.
func (e *Error) Kind() Kind { return e.kind }

// Reason returns the stable UPPER_SNAKE identifier of the failure; it may be empty.
func (e *Error) Reason() string { return e.reason }

// Public returns the text that the caller may read.
func (e *Error) Public() string { return e.public }

// Metadata returns a copy of the metadata; nil when there is none.
func (e *Error) Metadata() map[string]string { return maps.Clone(e.metadata) }

// Fields returns a copy of the blamed fields in the order they were added; nil when there are none.
func (e *Error) Fields() []FieldViolation { return slices.Clone(e.fields) }

// RetryDelay returns how long a client should wait before it tries again; 0 when nothing was said.
func (e *Error) RetryDelay() time.Duration { return e.retryAfter }

// LogValue writes kind, reason and the full text as a group, so that `slog.Any("error", err)` is enough.
func (e *Error) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("kind", e.kind.String()),
		slog.String("reason", e.reason),
		slog.String("text", e.Error()),
	)
}

// Reasons that this package gives to failures nobody classified.
const (
	ReasonInternal         = "INTERNAL"
	ReasonCanceled         = "CANCELED"
	ReasonDeadlineExceeded = "DEADLINE_EXCEEDED"
)

// From returns the *Error that describes err to a caller: the outermost *Error in its chain; for the
// context's own errors one of kind Canceled or DeadlineExceeded; for everything else a new Internal
// error whose public text holds only a random id (also in metadata "id"). The id is the link to the log,
// so call From once for a failure and log what it returned. From(nil) is nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := AsType[*Error](err); ok {
		return e
	}
	switch {
	case errors.Is(err, context.Canceled):
		return Wrap(err, Canceled, ReasonCanceled, "the call was canceled by its caller")
	case errors.Is(err, context.DeadlineExceeded):
		return Wrap(err, DeadlineExceeded, ReasonDeadlineExceeded, "the deadline passed before the call was done; allow it more time")
	}
	id := strings.ToLower(rand.Text()[:16])
	return Wrap(err, Internal, ReasonInternal, "internal error, id %s; the server's log has the cause under this id", id).With("id", id)
}

// KindOf returns the kind of err: of the outermost *Error in its chain, Canceled or DeadlineExceeded for
// the context's errors, else Internal. There is no kind for success: do not ask for the kind of nil.
func KindOf(err error) Kind {
	if e, ok := AsType[*Error](err); ok {
		return e.kind
	}
	switch {
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return DeadlineExceeded
	}
	return Internal
}

// ReasonOf returns the reason of the outermost *Error in err's chain, or "" when there is none.
func ReasonOf(err error) string {
	if e, ok := AsType[*Error](err); ok {
		return e.reason
	}
	return ""
}

// Public returns the text of err that a caller may read; "" for nil. An unclassified error gives
// "internal error" with a fresh random id, see From.
func Public(err error) string {
	if err == nil {
		return ""
	}
	return From(err).public
}

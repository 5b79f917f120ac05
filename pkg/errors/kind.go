package errors

import "strconv"

// Kind says what sort of failure an error is, and with that what a caller can do about it. The
// zero value is Internal, so a failure that nobody classified never looks like the caller's fault.
type Kind uint8

// The kinds are the failure codes of gRPC by meaning, without its catch-all Unknown and without OK.
const (
	// Internal is a broken invariant or an unexpected failure; the caller cannot mend it.
	Internal Kind = iota
	// InvalidArgument is a request that is wrong whatever the state of the system.
	InvalidArgument
	// NotFound is a named thing that does not exist.
	NotFound
	// AlreadyExists is a thing to be created that is there already.
	AlreadyExists
	// FailedPrecondition is a request that the state of the system forbids until somebody changes it.
	FailedPrecondition
	// Aborted is a conflict with a concurrent request; start again from reading.
	Aborted
	// OutOfRange is a position past the end of what exists.
	OutOfRange
	// ResourceExhausted is a limit reached: a quota, a size, a number of open things.
	ResourceExhausted
	// Unavailable is a passing failure; the same request may succeed later.
	Unavailable
	// DeadlineExceeded is a time limit that passed, or that is too short to begin.
	DeadlineExceeded
	// Canceled is a call that its caller gave up.
	Canceled
	// PermissionDenied is a known caller who may not do this.
	PermissionDenied
	// Unauthenticated is a caller who has not shown who they are.
	Unauthenticated
	// Unimplemented is an operation that this server does not offer.
	Unimplemented
	// DataLoss is stored data that is damaged or missing for good.
	DataLoss

	kinds // number of kinds
)

var kindNames = [kinds]string{
	"Internal", "InvalidArgument", "NotFound", "AlreadyExists", "FailedPrecondition", "Aborted", "OutOfRange",
	"ResourceExhausted", "Unavailable", "DeadlineExceeded", "Canceled", "PermissionDenied", "Unauthenticated",
	"Unimplemented", "DataLoss",
}

// String returns the kind's name as it is spelled in this package, for logs.
func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return "Kind(" + strconv.Itoa(int(k)) + ")"
}

// Kinds returns every kind, in the order of their values; for tables and tests that must cover all.
func Kinds() []Kind {
	all := make([]Kind, kinds)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

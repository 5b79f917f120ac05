package rpc

import (
	"strings"
	"time"
	"unicode/utf8"

	"dbslm/pkg/errors"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

// errorDomain marks ErrorInfo details whose reasons are defined by this project.
const errorDomain = "dbslm"

// An error travels in HTTP/2 trailers, of which clients in other languages accept 8 KiB in all. The text
// is sent twice (percent-encoded, and in base64 with the details), so these limits stay below that.
const (
	maxPublicBytes = 768
	maxDetailBytes = 3 << 10
)

// kindCodes is the one table between kinds and codes, read in both directions. OK and Unknown have no
// kind: an unknown failure of a peer is Internal to us.
var kindCodes = map[errors.Kind]codes.Code{
	errors.Internal:           codes.Internal,
	errors.InvalidArgument:    codes.InvalidArgument,
	errors.NotFound:           codes.NotFound,
	errors.AlreadyExists:      codes.AlreadyExists,
	errors.FailedPrecondition: codes.FailedPrecondition,
	errors.Aborted:            codes.Aborted,
	errors.OutOfRange:         codes.OutOfRange,
	errors.ResourceExhausted:  codes.ResourceExhausted,
	errors.Unavailable:        codes.Unavailable,
	errors.DeadlineExceeded:   codes.DeadlineExceeded,
	errors.Canceled:           codes.Canceled,
	errors.PermissionDenied:   codes.PermissionDenied,
	errors.Unauthenticated:    codes.Unauthenticated,
	errors.Unimplemented:      codes.Unimplemented,
	errors.DataLoss:           codes.DataLoss,
}

func codeOf(kind errors.Kind) codes.Code {
	if code, ok := kindCodes[kind]; ok {
		return code
	}
	return codes.Internal
}

func kindOf(code codes.Code) errors.Kind {
	for kind, c := range kindCodes {
		if c == code {
			return kind
		}
	}
	return errors.Internal
}

// ToStatus returns what a client may know of err: the code of its kind, its public text, and its reason,
// metadata, blamed fields and retry delay as ErrorInfo, BadRequest and RetryInfo. An error that is neither
// of package errors nor a gRPC status becomes Internal with a random id for its text. Text that is not
// valid UTF-8 is mended, and what exceeds 768 bytes of text or 3 KiB of details is cut. ToStatus(nil) is OK.
func ToStatus(err error) *status.Status {
	if err == nil {
		return status.New(codes.OK, "")
	}
	e := publicError(err)
	st := status.New(codeOf(e.Kind()), clean(e.Public(), maxPublicBytes))
	if withDetails, err := st.WithDetails(details(e)...); err == nil {
		return withDetails
	}
	return st
}

// publicError returns the *errors.Error that describes err, also when err is a bare gRPC status.
func publicError(err error) *errors.Error {
	if e, ok := errors.AsType[*errors.Error](err); ok {
		return e
	}
	return errors.From(FromStatus(err))
}

// details encodes what is beside the text. Metadata may take half of the room, fields the rest; what does
// not fit is left out from the end.
func details(e *errors.Error) []protoadapt.MessageV1 {
	var out []protoadapt.MessageV1
	if delay := e.RetryDelay(); delay > 0 {
		out = append(out, protoadapt.MessageV1Of(&errdetails.RetryInfo{RetryDelay: durationpb.New(delay)}))
	}
	room := maxDetailBytes
	if metadata := e.Metadata(); e.Reason() != "" || len(metadata) > 0 {
		info := &errdetails.ErrorInfo{Reason: clean(e.Reason(), 128), Domain: errorDomain, Metadata: map[string]string{}}
		for _, key := range sortedKeys(metadata) {
			info.Metadata[clean(key, 64)] = clean(metadata[key], 512)
			if proto.Size(info) > maxDetailBytes/2 {
				delete(info.Metadata, clean(key, 64))
				break
			}
		}
		room -= proto.Size(info)
		out = append(out, protoadapt.MessageV1Of(info))
	}
	if fields := e.Fields(); len(fields) > 0 {
		bad := &errdetails.BadRequest{}
		for _, f := range fields {
			violation := &errdetails.BadRequest_FieldViolation{Field: clean(f.Path, 256), Description: clean(f.Description, 512)}
			if room -= proto.Size(violation) + 4; room < 0 {
				break
			}
			bad.FieldViolations = append(bad.FieldViolations, violation)
		}
		out = append(out, protoadapt.MessageV1Of(bad))
	}
	return out
}

// FromStatus is the inverse of ToStatus: given an error that carries a gRPC status, it returns an
// *errors.Error with the kind, public text, reason, metadata, fields and retry delay of the status. Codes
// without a kind become Internal. Any other error, and nil, is returned as it is.
func FromStatus(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*errors.Error](err); ok {
		return err
	}
	st, ok := status.FromError(err)
	if !ok || st.Code() == codes.OK {
		return err
	}
	return decode(st)
}

func decode(st *status.Status) *errors.Error {
	var (
		reason string
		pairs  map[string]string
		fields []errors.FieldViolation
		delay  time.Duration
		text   = st.Message()
	)
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() == errorDomain { // others' reasons are not in our vocabulary
				reason, pairs = d.GetReason(), d.GetMetadata()
			}
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				fields = append(fields, errors.FieldViolation{Path: v.GetField(), Description: v.GetDescription()})
			}
		case *validate.Violations: // what the validation middleware and foreign servers attach
			reason, text = reasonInvalidRequest, "the request is not valid"
			for _, v := range d.GetViolations() {
				field := errors.FieldViolation{Path: protovalidate.FieldPathString(v.GetField()), Description: inWords(v.GetMessage())}
				fields = append(fields, field)
			}
			if len(fields) > 0 {
				text += ": " + strings.TrimPrefix(fields[0].Path+": ", ": ") + fields[0].Description
			}
		case *errdetails.RetryInfo:
			delay = d.GetRetryDelay().AsDuration()
		}
	}
	e := errors.New(kindOf(st.Code()), reason, "%s", text)
	for _, key := range sortedKeys(pairs) {
		e = e.With(key, pairs[key])
	}
	for _, f := range fields {
		e = e.Field(f.Path, f.Description)
	}
	if delay > 0 {
		e = e.RetryAfter(delay)
	}
	return e
}

// patternsInWords says for people what the patterns in the protos mean.
var patternsInWords = map[string]string{
	`^(\S(.*\S)?)?$`:                         "must not begin or end with white space",
	`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`:     "must be 1 to 128 letters, digits, '.', '_' and '-', beginning with a letter or digit",
	`^[A-Za-z][A-Za-z0-9_]{0,127}$`:          "must be 1 to 128 letters, digits and '_', beginning with a letter",
	`^([A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*)?$`: "must be a language tag such as en or pt-BR",
}

// inWords is a violation's description without a regular expression, where there are words for it.
func inWords(description string) string {
	_, quoted, _ := strings.Cut(description, "pattern ")
	if words, ok := patternsInWords[strings.Trim(quoted, "`'\"")]; ok {
		return words
	}
	return description
}

// clean makes s valid UTF-8 of at most limit bytes, which protobuf strings and trailers demand.
func clean(s string, limit int) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= limit {
		return s
	}
	const ellipsis = "…"
	cut := limit - len(ellipsis)
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + ellipsis
}

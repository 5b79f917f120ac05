package edge

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"dbslm/pkg/errors"
	"dbslm/pkg/rpc"
)

// answers is the one table between kinds of errors and HTTP: the status that google.rpc.Code names for each code, and the type
// of error that OpenAI's API answers with it.
var answers = map[errors.Kind]struct {
	status int
	kind   string
}{
	errors.Internal:           {http.StatusInternalServerError, "server_error"},
	errors.InvalidArgument:    {http.StatusBadRequest, "invalid_request_error"},
	errors.NotFound:           {http.StatusNotFound, "invalid_request_error"},
	errors.AlreadyExists:      {http.StatusConflict, "invalid_request_error"},
	errors.FailedPrecondition: {http.StatusBadRequest, "invalid_request_error"},
	errors.Aborted:            {http.StatusConflict, "conflict_error"},
	errors.OutOfRange:         {http.StatusBadRequest, "invalid_request_error"},
	errors.ResourceExhausted:  {http.StatusTooManyRequests, "rate_limit_error"},
	errors.Unavailable:        {http.StatusServiceUnavailable, "server_error"},
	errors.DeadlineExceeded:   {http.StatusGatewayTimeout, "server_error"},
	errors.Canceled:           {499, "server_error"}, // as nginx has it; nobody is left to read it
	errors.PermissionDenied:   {http.StatusForbidden, "permission_error"},
	errors.Unauthenticated:    {http.StatusUnauthorized, "authentication_error"},
	errors.Unimplemented:      {http.StatusNotImplemented, "server_error"},
	errors.DataLoss:           {http.StatusInternalServerError, "server_error"},
}

// narrower are the reasons for which HTTP has a status of its own.
var narrower = map[string]int{
	"METHOD_NOT_ALLOWED":     http.StatusMethodNotAllowed,
	"UNSUPPORTED_MEDIA_TYPE": http.StatusUnsupportedMediaType,
	"UNKNOWN_HOST":           http.StatusMisdirectedRequest,
	"BODY_TOO_LARGE":         http.StatusRequestEntityTooLarge,
	"MESSAGE_TOO_LARGE":      http.StatusRequestEntityTooLarge,
	"BODY_TOO_SLOW":          http.StatusRequestTimeout,
}

// statusOf is the HTTP status of an error and the type of it in OpenAI's API.
func statusOf(err error) (status int, kind string) {
	a := answers[errors.KindOf(err)]
	if status, ok := narrower[errors.ReasonOf(err)]; ok {
		return status, "invalid_request_error"
	}
	return a.status, a.kind
}

// hurry says in the header when a client should ask again, in whole seconds, where that may help.
func hurry(w http.ResponseWriter, err error) {
	e := errors.From(rpc.FromStatus(err))
	delay := e.RetryDelay()
	if delay == 0 && (e.Kind() == errors.ResourceExhausted || e.Kind() == errors.Unavailable) {
		delay = time.Second
	}
	if delay > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(delay.Seconds()))))
	}
}

// problem is an error as OpenAI's API says it.
type problem struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

// problemOf says an error without what only the operator may know.
func problemOf(err error) problem {
	_, kind := statusOf(err)
	p := problem{Message: errors.Public(err), Type: kind}
	e := errors.From(rpc.FromStatus(err))
	if e.Reason() != "" {
		code := strings.ToLower(e.Reason())
		p.Code = &code
	}
	if fields := e.Fields(); len(fields) > 0 {
		param := strings.TrimPrefix(strings.TrimPrefix(fields[0].Path, "request."), "parameters.")
		p.Param = &param
	}
	return p
}

// refuse answers with an error. Nothing may have been written before.
func refuse(w http.ResponseWriter, err error) {
	status, _ := statusOf(err)
	hurry(w, err)
	reply(w, status, map[string]any{"error": problemOf(err)})
}

// reply answers with JSON. A client that is gone is noticed by nobody.
func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body)
}

// timely says the end of a context as what it was: a client that left, or the time of the request.
func timely(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return errors.From(cause)
	}
	return err
}

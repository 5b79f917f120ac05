package errors_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"dbslm/pkg/errors"

	"github.com/google/go-cmp/cmp"
)

func TestPublicTextAndCause(t *testing.T) {
	sql := fmt.Errorf("dial tcp 10.0.0.7:3306: refused")
	hidden := errors.Wrap(sql, errors.Unavailable, "STORE_DOWN", "the store of model %q does not answer", "m")
	tests := []struct {
		name          string
		err           *errors.Error
		public, error string
		cause         error
	}{
		{"no cause", errors.New(errors.NotFound, "X", "no model %q", "m"), `no model "m"`, `no model "m"`, nil},
		{"wrapped cause is private", hidden, `the store of model "m" does not answer`, `the store of model "m" does not answer: ` + sql.Error(), sql},
		{"%w of a plain error is shown once", errors.New(errors.InvalidArgument, "X", "cannot read: %w", fs.ErrNotExist), "cannot read: file does not exist", "cannot read: file does not exist", fs.ErrNotExist},
		{
			"%w of our error shows its public text only", errors.New(errors.Aborted, "X", "build failed: %w", hidden),
			`build failed: the store of model "m" does not answer`,
			`build failed: the store of model "m" does not answer: ` + hidden.Error(), sql,
		},
		{
			"%v of our error too", errors.New(errors.Aborted, "X", "build failed: %v", hidden),
			`build failed: the store of model "m" does not answer`, `build failed: the store of model "m" does not answer`, nil,
		},
		{"two %w", errors.New(errors.Aborted, "X", "%w, %w", io.EOF, fs.ErrExist), "EOF, file already exists", "EOF, file already exists", fs.ErrExist},
		{"Wrap with %w keeps both", errors.Wrap(sql, errors.Aborted, "X", "stopped: %w", io.EOF), "stopped: EOF", "stopped: EOF: " + sql.Error() + "\nEOF", io.EOF},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.public, test.err.Public()); diff != "" {
				t.Errorf("public text (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.error, test.err.Error()); diff != "" {
				t.Errorf("log text (-want +got):\n%s", diff)
			}
			if test.cause != nil && !errors.Is(test.err, test.cause) {
				t.Errorf("%v does not wrap %v", test.err, test.cause)
			}
		})
	}
}

func TestErrorsAreImmutable(t *testing.T) {
	base := errors.New(errors.InvalidArgument, "BAD", "bad").With("a", "1").Field("x", "is wrong")
	first := base.With("b", "2").Field("y", "too").RetryAfter(time.Second)
	second := base.With("b", "3").Field("z", "also")
	if diff := cmp.Diff(map[string]string{"a": "1"}, base.Metadata()); diff != "" {
		t.Errorf("base metadata changed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]errors.FieldViolation{{Path: "x", Description: "is wrong"}}, base.Fields()); diff != "" {
		t.Errorf("base fields changed (-want +got):\n%s", diff)
	}
	if got := first.Fields()[1].Path + second.Fields()[1].Path; got != "yz" {
		t.Errorf("copies share their fields: %s", got)
	}
	if first.Metadata()["b"] != "2" || second.Metadata()["b"] != "3" {
		t.Error("copies share their metadata")
	}
	if first.RetryDelay() != time.Second || base.RetryDelay() != 0 || first.RetryAfter(-1).RetryDelay() != 0 {
		t.Error("retry delay is shared or negative")
	}
	base.Metadata()["a"] = "changed"
	if base.Metadata()["a"] != "1" {
		t.Error("Metadata hands out its own map")
	}
}

func TestIsMatchesKindAndReason(t *testing.T) {
	sentinel := errors.New(errors.NotFound, "MODEL_NOT_FOUND", "there is no such model")
	if err := fmt.Errorf("open: %w", sentinel.With("model", "m")); !errors.Is(err, sentinel) {
		t.Errorf("%v is not its sentinel", err)
	}
	for _, other := range []*errors.Error{
		errors.New(errors.NotFound, "CONVERSATION_NOT_FOUND", "there is no such model"),
		errors.New(errors.Internal, "MODEL_NOT_FOUND", "there is no such model"),
	} {
		if errors.Is(other, sentinel) {
			t.Errorf("%#v is %#v", other, sentinel)
		}
	}
	if errors.Is(errors.New(errors.Internal, "", "a"), errors.New(errors.Internal, "", "b")) {
		t.Error("two errors without a reason are the same")
	}
}

func TestKindReasonPublicOfAnyError(t *testing.T) {
	tests := []struct {
		err    error
		kind   errors.Kind
		reason string
		public string
	}{
		{fmt.Errorf("a: %w", errors.New(errors.Aborted, "RACE", "try again")), errors.Aborted, "RACE", "try again"},
		{errors.Join(io.EOF, errors.New(errors.DataLoss, "TORN", "torn")), errors.DataLoss, "TORN", "torn"},
		{errors.Wrap(context.Canceled, errors.Unavailable, "DOWN", "down"), errors.Unavailable, "DOWN", "down"},
		{fmt.Errorf("query: %w", context.Canceled), errors.Canceled, "", "the call was canceled by its caller"},
		{fmt.Errorf("query: %w", context.DeadlineExceeded), errors.DeadlineExceeded, "", "the deadline passed before the call was done; allow it more time"},
	}
	for _, test := range tests {
		if got := errors.KindOf(test.err); got != test.kind {
			t.Errorf("KindOf(%v) = %v, want %v", test.err, got, test.kind)
		}
		if got := errors.ReasonOf(test.err); got != test.reason {
			t.Errorf("ReasonOf(%v) = %q, want %q", test.err, got, test.reason)
		}
		if got := errors.Public(test.err); got != test.public {
			t.Errorf("Public(%v) = %q, want %q", test.err, got, test.public)
		}
	}
	if errors.Public(nil) != "" || errors.From(nil) != nil {
		t.Error("nil has a public text")
	}
}

func TestUnclassifiedErrorsAreConcealed(t *testing.T) {
	secret := fmt.Errorf("Error 1045: access denied for user 'root'")
	e := errors.From(secret)
	if e.Kind() != errors.Internal || e.Reason() != errors.ReasonInternal {
		t.Errorf("kind %v, reason %q", e.Kind(), e.Reason())
	}
	if !regexp.MustCompile(`^internal error, id [a-z2-7]{16}; `).MatchString(e.Public()) {
		t.Errorf("public text %q", e.Public())
	}
	if strings.Contains(e.Public(), "root") || !strings.Contains(e.Error(), secret.Error()) {
		t.Errorf("public %q, log %q", e.Public(), e.Error())
	}
	if !strings.Contains(e.Public(), e.Metadata()["id"]) {
		t.Errorf("the id %q is not in %q", e.Metadata()["id"], e.Public())
	}
	if other := errors.From(secret); other.Public() == e.Public() {
		t.Error("two failures share an id")
	}
	if errors.From(e) != e {
		t.Error("From makes a second id for the same failure")
	}
}

func TestLogValue(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, nil))
	logger.Info("x", "error", errors.Wrap(io.EOF, errors.DataLoss, "TORN", "the page is torn"))
	for _, want := range []string{"error.kind=DataLoss", "error.reason=TORN", `error.text="the page is torn: EOF"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s\nlacks %s", out.String(), want)
		}
	}
}

func TestKindsAreNamed(t *testing.T) {
	seen := map[string]bool{}
	for _, kind := range errors.Kinds() {
		name := kind.String()
		if name == "" || strings.HasPrefix(name, "Kind(") || seen[name] {
			t.Errorf("kind %d is called %q", kind, name)
		}
		seen[name] = true
	}
	if got := errors.Kind(200).String(); got != "Kind(200)" {
		t.Errorf("unknown kind is called %q", got)
	}
	var zero errors.Kind
	if zero != errors.Internal {
		t.Error("the zero kind is not Internal")
	}
}

func ExampleWrap() {
	cause := fmt.Errorf("dial unix /run/mysqld.sock: connection refused")
	err := errors.Wrap(cause, errors.Unavailable, "STORE_DOWN", "the model store does not answer; try again").
		With("store", "ngram").RetryAfter(time.Second)
	fmt.Println("client:", errors.Public(err))
	fmt.Println("log:   ", err)
	// Output:
	// client: the model store does not answer; try again
	// log:    the model store does not answer; try again: dial unix /run/mysqld.sock: connection refused
}

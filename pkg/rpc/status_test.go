package rpc

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"dbslm/pkg/errors"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

func TestKindsAndCodesAreOneToOne(t *testing.T) {
	seen := map[codes.Code]errors.Kind{}
	for _, kind := range errors.Kinds() {
		code := codeOf(kind)
		if other, taken := seen[code]; taken {
			t.Errorf("%v and %v are both %v", kind, other, code)
		}
		seen[code] = kind
		if code.String() != kind.String() {
			t.Errorf("%v is %v on the wire", kind, code)
		}
		if got := kindOf(code); got != kind {
			t.Errorf("%v comes back as %v", kind, got)
		}
	}
	for code := codes.Code(1); code <= codes.Unauthenticated; code++ {
		if _, mapped := seen[code]; !mapped && code != codes.Unknown {
			t.Errorf("%v has no kind", code)
		}
	}
	if kindOf(codes.Unknown) != errors.Internal || kindOf(99) != errors.Internal || codeOf(99) != codes.Internal {
		t.Error("what is unknown is not Internal")
	}
}

// public is all that a client may learn of an error.
type public struct {
	Kind     errors.Kind
	Reason   string
	Text     string
	Metadata map[string]string
	Fields   []errors.FieldViolation
	Delay    time.Duration
}

func publicSide(e *errors.Error) public {
	return public{e.Kind(), e.Reason(), e.Public(), e.Metadata(), e.Fields(), e.RetryDelay()}
}

func TestStatusRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		short := rapid.StringN(0, 40, 80)
		e := errors.New(rapid.SampledFrom(errors.Kinds()).Draw(t, "kind"),
			rapid.StringMatching(`([A-Z][A-Z_]{0,20})?`).Draw(t, "reason"), "%s", rapid.StringN(0, -1, maxPublicBytes).Draw(t, "text"))
		for key, value := range rapid.MapOfN(rapid.StringMatching(`[a-z_]{1,20}`), short, 0, 5).Draw(t, "metadata") {
			e = e.With(key, value)
		}
		for range rapid.IntRange(0, 5).Draw(t, "fields") {
			e = e.Field(short.Draw(t, "path"), short.Draw(t, "description"))
		}
		if rapid.Bool().Draw(t, "retry") {
			e = e.RetryAfter(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "delay")))
		}
		wrapped := fmt.Errorf("context for the log: %w", errors.Join(io.EOF, e))

		once := FromStatus(ToStatus(wrapped).Err())
		back, ok := errors.AsType[*errors.Error](once)
		if !ok {
			t.Fatalf("%T came back", once)
		}
		if diff := cmp.Diff(publicSide(e), publicSide(back)); diff != "" {
			t.Fatalf("changed on the way (-sent +received):\n%s", diff)
		}
		if e.Reason() != "" && !errors.Is(once, e) {
			t.Fatal("errors.Is does not recognise it")
		}
		if twice, _ := errors.AsType[*errors.Error](FromStatus(ToStatus(once).Err())); !cmp.Equal(publicSide(e), publicSide(twice)) {
			t.Fatal("a second hop changes it")
		}
	})
}

func TestStatusOfAnything(t *testing.T) {
	secret := "password hunter2"
	foreign := status.New(codes.Unknown, "a foreign server's words")
	foreign, err := foreign.WithDetails(&errdetails.ErrorInfo{Reason: "QUOTA", Domain: "example.com"})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		err  error
		code codes.Code
		text string // prefix
	}{
		{"nil", nil, codes.OK, ""},
		{"unknown", fmt.Errorf("%s", secret), codes.Internal, "internal error, id "},
		{"canceled", fmt.Errorf("%s: %w", secret, context.Canceled), codes.Canceled, "the call was canceled"},
		{"deadline", fmt.Errorf("%s: %w", secret, context.DeadlineExceeded), codes.DeadlineExceeded, "the deadline passed"},
		{"private cause", errors.Wrap(fmt.Errorf("%s", secret), errors.NotFound, "X", "not here"), codes.NotFound, "not here"},
		{"foreign status", foreign.Err(), codes.Internal, "a foreign server's words"},
		{"wrapped status", fmt.Errorf("peer: %w", status.Error(codes.NotFound, "gone")), codes.NotFound, "peer: "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			st := ToStatus(test.err)
			if st.Code() != test.code || !strings.HasPrefix(st.Message(), test.text) {
				t.Errorf("got %v", st)
			}
			if strings.Contains(st.String(), secret) {
				t.Errorf("%v tells a secret", st)
			}
		})
	}
	if got := errors.ReasonOf(FromStatus(foreign.Err())); got != "" {
		t.Errorf("took the foreign reason %q for one of ours", got)
	}
	for _, untouched := range []error{nil, io.EOF, context.Canceled} {
		if got := FromStatus(untouched); got != untouched { //nolint:errorlint // identity is the point
			t.Errorf("FromStatus(%v) = %v", untouched, got)
		}
	}
}

// Trailers above 8 KiB are refused by clients in other languages, and then nobody learns anything.
func TestStatusStaysSmallAndValid(t *testing.T) {
	long := strings.Repeat("é", 5000)
	e := errors.New(errors.InvalidArgument, strings.Repeat("R", 5000), "bad \xff text %s", long).
		With("a", "kept").With("z", long).With("\xff", "\xff")
	for i := range 500 {
		e = e.Field(fmt.Sprintf("documents[%d]", i), "is \xff wrong")
	}
	st := ToStatus(e)
	if n := len(st.Message()); n > maxPublicBytes || !utf8.ValidString(st.Message()) || !strings.HasSuffix(st.Message(), "…") {
		t.Errorf("the text has %d bytes: %q", n, st.Message())
	}
	if n := proto.Size(st.Proto()); n > maxPublicBytes+maxDetailBytes+512 {
		t.Errorf("the status has %d bytes", n)
	}
	back, _ := errors.AsType[*errors.Error](FromStatus(st.Err()))
	if back.Metadata()["a"] != "kept" || len(back.Fields()) == 0 {
		t.Errorf("nothing is left: %v, %d fields", back.Metadata(), len(back.Fields()))
	}
}

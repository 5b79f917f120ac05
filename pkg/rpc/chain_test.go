package rpc

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dbslm/pkg/errors"
	"dbslm/pkg/telemetry"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

func TestErrorsKeepTheirPublicSide(t *testing.T) {
	sent := errors.Wrap(fmt.Errorf("Error 1146: no such table"), errors.NotFound, "MODEL_NOT_FOUND", "there is no model %q", "m").
		With("model", "m").Field("model", "names nothing").RetryAfter(time.Second)
	e := &echo{
		unary:  func(context.Context, string) (string, error) { return "", fmt.Errorf("handler: %w", sent) },
		stream: func(context.Context, func() (string, error), func(string) error) error { return sent },
	}
	everyPeer(t, Options{}, e, func(t *testing.T, r *running) {
		_, unary := read(t.Context(), r.conn, "x")
		stream, err := chat(t.Context(), r.conn)
		if err != nil {
			t.Fatal(err)
		}
		_, streamed := hear(stream)
		for _, err := range []error{unary, streamed} {
			got, ok := errors.AsType[*errors.Error](err)
			if !ok {
				t.Fatalf("got %T", err)
			}
			if diff := cmp.Diff(publicSide(sent), publicSide(got)); diff != "" {
				t.Errorf("changed on the way (-sent +received):\n%s", diff)
			}
			if status.Code(err) != codes.NotFound || strings.Contains(err.Error(), "1146") {
				t.Errorf("the client got %v", err)
			}
		}
		eventually(t, "both calls are logged", func() bool { return len(r.log.lines(t, "call")) == 2 })
		for _, line := range r.log.lines(t, "call") {
			if line["code"] != "NotFound" || line["reason"] != "MODEL_NOT_FOUND" || line["level"] != "INFO" || !strings.Contains(line["error"].(string), "1146") {
				t.Errorf("logged %v", line)
			}
		}
	})
}

func TestUnclassifiedFailureIsFoundByItsID(t *testing.T) {
	e := &echo{unary: func(context.Context, string) (string, error) { return "", fmt.Errorf("a secret") }}
	r := serve(t, "local", Options{}, e)
	_, err := read(t.Context(), r.conn, "x")
	got, _ := errors.AsType[*errors.Error](err)
	if got.Kind() != errors.Internal || strings.Contains(got.Error(), "secret") {
		t.Errorf("the client got %v", got)
	}
	id := got.Metadata()["id"]
	line := r.log.lines(t, "call")[0]
	if text := line["error"].(string); id == "" || !strings.Contains(text, id) || !strings.Contains(text, "a secret") || line["level"] != "ERROR" {
		t.Errorf("id %q, logged %v", id, line)
	}
}

func TestPanicsAreCountedAndInternal(t *testing.T) {
	e := &echo{
		unary:  func(context.Context, string) (string, error) { panic("a secret") },
		stream: func(context.Context, func() (string, error), func(string) error) error { panic(io.ErrUnexpectedEOF) },
	}
	everyPeer(t, Options{}, e, func(t *testing.T, r *running) {
		_, unary := read(t.Context(), r.conn, "x")
		stream, err := chat(t.Context(), r.conn)
		if err != nil {
			t.Fatal(err)
		}
		_, streamed := hear(stream)
		for _, err := range []error{unary, streamed} {
			if errors.KindOf(err) != errors.Internal || !strings.HasPrefix(errors.Public(err), "internal error, id ") {
				t.Errorf("the client got %v", err)
			}
		}
		eventually(t, "both panics are counted as failures", func() bool {
			return r.counter(t, "dbslm_grpc_server_handled_total", map[string]string{"grpc_service": echoName, "grpc_code": "Internal"}) == 2
		})
		for _, method := range []string{"Read", "Chat"} {
			if n := r.counter(t, "dbslm_rpc_panics_total", map[string]string{"grpc_service": echoName, "grpc_method": method}); n != 1 {
				t.Errorf("%v panics of %s counted", n, method)
			}
		}
		if lines := r.log.lines(t, "handler panicked"); len(lines) != 2 || !strings.Contains(lines[0]["stack"].(string), "chain_test.go") || lines[0]["request_id"] == nil {
			t.Errorf("logged %v", lines)
		}
	})
}

func TestRequestIDTravels(t *testing.T) {
	var inner atomic.Value
	back := serve(t, "local", Options{}, &echo{unary: func(ctx context.Context, s string) (string, error) {
		inner.Store(telemetry.RequestID(ctx))
		return s, nil
	}})
	front := serve(t, "tcp", Options{}, &echo{unary: func(ctx context.Context, s string) (string, error) {
		return read(ctx, back.conn, s)
	}})
	tests := []struct {
		name, sent string
		kept       bool
	}{{"made", "", false}, {"kept", "req-42", true}, {"with a space", "a b", false}, {"too long", strings.Repeat("x", 129), false}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ctx := t.Context()
			if test.sent != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, requestIDHeader, test.sent)
			}
			var header metadata.MD
			if _, err := read(ctx, front.conn, "x", grpc.Header(&header)); err != nil {
				t.Fatal(err)
			}
			got := header.Get(requestIDHeader)
			if len(got) != 1 || got[0] == "" || (got[0] == test.sent) != test.kept {
				t.Fatalf("sent %q, the header has %q", test.sent, got)
			}
			if inner.Load() != got[0] {
				t.Errorf("the next service saw %q, the client %q", inner.Load(), got[0])
			}
			lines := back.log.lines(t, "call")
			if last := lines[len(lines)-1]; last["request_id"] != got[0] {
				t.Errorf("logged %v", last)
			}
		})
	}
	t.Run("set by the program", func(t *testing.T) {
		if _, err := read(telemetry.WithRequestID(t.Context(), "mine"), front.conn, "x"); err != nil {
			t.Fatal(err)
		}
		if inner.Load() != "mine" {
			t.Errorf("the next service saw %q", inner.Load())
		}
	})
	t.Run("echoed with an error", func(t *testing.T) {
		var header, trailer metadata.MD
		_, err := read(t.Context(), front.conn, "forbidden", grpc.Header(&header), grpc.Trailer(&trailer))
		if err == nil || len(trailer.Get(requestIDHeader)) != 1 || len(header.Get(requestIDHeader)) != 0 {
			t.Errorf("error %v, header %v, trailer %v", err, header, trailer)
		}
	})
	t.Run("echoed on streams", func(t *testing.T) {
		for _, s := range []string{"", "x", "forbidden"} {
			stream, err := chat(t.Context(), front.conn)
			if err != nil {
				t.Fatal(err)
			}
			if s != "" {
				_, _ = say(stream, s)
			}
			_ = stream.CloseSend()
			for _, err = hear(stream); err == nil; {
				_, err = hear(stream)
			}
			header, _ := stream.Header()
			if s == "forbidden" {
				header = stream.Trailer()
			}
			if len(header.Get(requestIDHeader)) != 1 {
				t.Errorf("%q: %v, header %v, trailer %v", s, err, header, stream.Trailer())
			}
		}
	})
}

func TestDeadlines(t *testing.T) {
	var remaining atomic.Int64 // nanoseconds; -1 without a deadline
	note := func(ctx context.Context) {
		deadline, ok := ctx.Deadline()
		remaining.Store(-1)
		if ok {
			remaining.Store(int64(time.Until(deadline)))
		}
	}
	e := &echo{
		unary: func(ctx context.Context, s string) (string, error) {
			note(ctx)
			if s == "wait" {
				<-ctx.Done()
				return "", errors.Wrap(ctx.Err(), errors.Unavailable, "STORE_DOWN", "the store does not answer")
			}
			return s, nil
		},
		stream: func(ctx context.Context, _ func() (string, error), _ func(string) error) error {
			note(ctx)
			return nil
		},
	}
	o := Options{UnaryTimeout: 200 * time.Millisecond, Headroom: 50 * time.Millisecond, Floor: 50 * time.Millisecond}
	everyPeer(t, o, e, func(t *testing.T, r *running) {
		if _, err := read(t.Context(), r.conn, "x"); err != nil {
			t.Fatal(err)
		}
		if got := time.Duration(remaining.Load()); got <= 0 || got > o.UnaryTimeout {
			t.Errorf("a call without a deadline got %v", got)
		}
		if _, err := read(t.Context(), r.conn, "wait"); errors.KindOf(err) != errors.DeadlineExceeded {
			t.Errorf("the server's own deadline gave %v", err)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := read(ctx, r.conn, "x"); err != nil {
			t.Fatal(err)
		}
		if got := time.Duration(remaining.Load()); got <= o.UnaryTimeout || got > time.Minute-o.Headroom {
			t.Errorf("a call with a minute got %v", got)
		}

		remaining.Store(0)
		ctx, cancel = context.WithTimeout(t.Context(), 90*time.Millisecond)
		defer cancel()
		if _, err := read(ctx, r.conn, "x"); errors.KindOf(err) != errors.DeadlineExceeded || errors.ReasonOf(err) != "DEADLINE_TOO_SHORT" {
			t.Errorf("too little time gave %v", err)
		}
		if remaining.Load() != 0 {
			t.Error("the handler ran all the same")
		}

		stream, err := chat(t.Context(), r.conn)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := hear(stream); !errors.Is(err, io.EOF) || remaining.Load() != -1 {
			t.Errorf("a stream without a deadline got %v, %v", time.Duration(remaining.Load()), err)
		}
	})
}

func TestStreamTimeout(t *testing.T) {
	e := &echo{stream: func(ctx context.Context, _ func() (string, error), _ func(string) error) error {
		<-ctx.Done()
		return fmt.Errorf("read: %w", ctx.Err())
	}}
	r := serve(t, "local", Options{StreamTimeout: 20 * time.Millisecond}, e)
	stream, err := chat(t.Context(), r.conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hear(stream); errors.KindOf(err) != errors.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
}

func TestCancelReachesTheHandlerAndIsNotAnOutage(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan struct{})
	e := &echo{unary: func(ctx context.Context, _ string) (string, error) {
		close(begun)
		<-ctx.Done()
		close(ended)
		return "", errors.Wrap(ctx.Err(), errors.Unavailable, "STORE_DOWN", "the store does not answer")
	}}
	r := serve(t, "tcp", Options{}, e)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	if _, err := read(ctx, r.conn, "x"); errors.KindOf(err) != errors.Canceled || status.Code(err) != codes.Canceled {
		t.Errorf("the client got %v", err)
	}
	<-ended
	eventually(t, "the call is logged", func() bool { return len(r.log.lines(t, "call")) == 1 })
	if line := r.log.lines(t, "call")[0]; line["code"] != "Canceled" || line["level"] != "INFO" {
		t.Errorf("logged %v", line)
	}
}

func TestRequestsAreValidated(t *testing.T) {
	var handled atomic.Bool
	e := &echo{unary: func(_ context.Context, s string) (string, error) {
		handled.Store(true)
		return s, nil
	}}
	everyPeer(t, Options{}, e, func(t *testing.T, r *running) {
		_, unary := read(t.Context(), r.conn, "forbidden")
		stream, err := chat(t.Context(), r.conn)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := say(stream, "fine"); got != "fine" || err != nil {
			t.Errorf("a valid message gave %q, %v", got, err)
		}
		_, streamed := say(stream, strings.Repeat("x", 1001))
		for i, err := range []error{unary, streamed} {
			got, _ := errors.AsType[*errors.Error](err)
			if got.Kind() != errors.InvalidArgument || got.Reason() != reasonInvalidRequest || len(got.Fields()) != 1 || got.Fields()[0].Path != "text" {
				t.Errorf("%d: %+v", i, got)
			}
			if want := "the request is not valid: text: " + got.Fields()[0].Description; got.Public() != want {
				t.Errorf("%d: the text is %q, want %q", i, got.Public(), want)
			}
		}
		if handled.Load() {
			t.Error("the handler saw an invalid request")
		}
	})
}

// rawCodec sends []byte as the encoding of a message, whatever they are.
type rawCodec struct{ encoding.CodecV2 }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func TestMalformedRequestsAreTheCallersFault(t *testing.T) {
	badUTF8 := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte("a\xffb"))
	truncated := []byte{0x0a, 0x20, 'x'}
	forged := protowire.AppendString(protowire.AppendTag(nil, malformedField, protowire.BytesType), "forged")
	codec := grpc.ForceCodecV2(rawCodec{encoding.GetCodecV2(protocodec.Name)})
	everyPeer(t, Options{}, &echo{}, func(t *testing.T, r *running) {
		for name, body := range map[string][]byte{"bad UTF-8": badUTF8, "truncated": truncated, "forged mark": forged} {
			unary := r.conn.Invoke(t.Context(), readMethod, body, text(""), codec)
			stream, err := chat(t.Context(), r.conn, codec)
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.SendMsg(body); err != nil {
				t.Fatal(err)
			}
			_, streamed := hear(stream)
			for _, err := range []error{unary, streamed} {
				if errors.KindOf(err) != errors.InvalidArgument || errors.ReasonOf(err) != reasonMalformed {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		eventually(t, "all are counted", func() bool {
			return r.counter(t, "dbslm_grpc_server_handled_total", map[string]string{"grpc_code": "InvalidArgument"}) == 6
		})

		// Our own connections notice before they send.
		_, unary := read(t.Context(), r.conn, "a\xffb")
		stream, err := chat(t.Context(), r.conn)
		if err != nil {
			t.Fatal(err)
		}
		streamed := stream.SendMsg(text("a\xffb"))
		for _, err := range []error{unary, streamed} {
			if errors.KindOf(err) != errors.InvalidArgument || errors.ReasonOf(err) != reasonMalformed {
				t.Errorf("encoding gave %v", err)
			}
		}
	})
}

func TestOversizeMessages(t *testing.T) {
	e := &echo{unary: func(_ context.Context, s string) (string, error) {
		if s == "much" {
			return strings.Repeat("y", 3000), nil
		}
		return s, nil
	}}
	everyPeer(t, Options{MaxRecvBytes: 500, MaxSendBytes: 2000}, e, func(t *testing.T, r *running) {
		_, request := read(t.Context(), r.conn, strings.Repeat("x", 600))
		_, reply := read(t.Context(), r.conn, "much")
		for _, err := range []error{request, reply} {
			if errors.KindOf(err) != errors.ResourceExhausted || errors.ReasonOf(err) != "MESSAGE_TOO_LARGE" {
				t.Errorf("got %v", err)
			}
		}
		if got, err := read(t.Context(), r.conn, "x"); got != "x" || err != nil {
			t.Errorf("afterwards: %q, %v", got, err)
		}
		const message = "call failed outside its handler"
		eventually(t, "both are logged", func() bool { return len(r.log.lines(t, message)) == 2 })
		if n := r.counter(t, "dbslm_rpc_outside_failures_total", map[string]string{"grpc_code": "ResourceExhausted"}); n != 2 {
			t.Errorf("%v are counted", n)
		}
		for _, line := range r.log.lines(t, message) {
			if line["handled"] != (line["request_id"] != nil) {
				t.Errorf("logged %v", line)
			}
		}
	})
}

func TestRepliesThatCannotBeEncodedAreReported(t *testing.T) {
	r := serve(t, "local", Options{}, &echo{unary: func(context.Context, string) (string, error) { return "a\xffb", nil }})
	if _, err := read(t.Context(), r.conn, "x"); errors.KindOf(err) != errors.Internal {
		t.Errorf("the client got %v", err)
	}
	eventually(t, "the failure is logged", func() bool { return len(r.log.lines(t, "call failed outside its handler")) == 1 })
	if n := r.counter(t, "dbslm_rpc_outside_failures_total", map[string]string{"grpc_code": "Internal"}); n != 1 {
		t.Errorf("%v are counted", n)
	}
	if lines := r.log.lines(t, "call failed outside its handler"); lines[0]["level"] != "ERROR" || lines[0]["handled"] != true {
		t.Errorf("logged %v", lines)
	}
}

func TestLogsHoldNoUserText(t *testing.T) {
	r := serve(t, "local", Options{}, &echo{})
	const secret = "my diary"
	if _, err := read(t.Context(), r.conn, secret); err != nil {
		t.Fatal(err)
	}
	if _, err := read(t.Context(), r.conn, secret+strings.Repeat("!", 1000)); err == nil {
		t.Fatal("accepted")
	}
	if strings.Contains(r.log.String(), secret) || len(r.log.lines(t, "call")) != 2 {
		t.Errorf("logged %s", r.log)
	}
}

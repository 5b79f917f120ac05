package telemetry

import (
	"context"
	"io"
	"log/slog"
	"os"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/term"
)

// NewLogger returns a logger that writes to w and adds request_id, trace_id and span_id from the context
// to every line. An empty format means text when w is a terminal and JSON otherwise.
func NewLogger(w io.Writer, format LogFormat, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == LogAuto {
		format = LogJSON
		if isTerminal(w) {
			format = LogText
		}
	}
	var handler slog.Handler
	if format == LogText {
		handler = slog.NewTextHandler(w, options)
	} else {
		handler = slog.NewJSONHandler(w, options)
	}
	return slog.New(idHandler{handler})
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// idHandler adds the ids of the context at the moment a line is written, so that no layer has to carry
// a logger of its own through every call.
type idHandler struct{ next slog.Handler }

func (h idHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h idHandler) Handle(ctx context.Context, record slog.Record) error {
	id, span := RequestID(ctx), trace.SpanContextFromContext(ctx)
	if id != "" || span.IsValid() {
		record = record.Clone() // the caller's record shares its attributes with other handlers
	}
	if id != "" {
		record.AddAttrs(slog.String("request_id", id))
	}
	if span.IsValid() {
		record.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.next.Handle(ctx, record)
}

func (h idHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return idHandler{h.next.WithAttrs(attrs)}
}

func (h idHandler) WithGroup(name string) slog.Handler { return idHandler{h.next.WithGroup(name)} }

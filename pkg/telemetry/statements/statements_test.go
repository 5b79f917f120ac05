package statements_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/pkg/telemetry"
	"dbslm/pkg/telemetry/statements"

	dto "github.com/prometheus/client_model/go"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func TestStatementsOfARealStore(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	defer func() { _ = provider.Shutdown(context.Background()) }()
	tel, err := telemetry.Setup(telemetry.Config{LogWriter: &bytes.Buffer{}})
	if err != nil {
		t.Fatal(err)
	}
	tel.TracerProvider = provider

	target, err := database.ParseTarget(":memory:")
	if err != nil {
		t.Fatal(err)
	}
	schema := database.Schema{Name: "dbslm_shelf", Migrations: fstest.MapFS{"0001_books.sql": {Data: []byte(
		"-- +goose Up\nCREATE TABLE tbl_books (id BIGINT NOT NULL PRIMARY KEY) {{table_options}};\n")}}}
	db, err := database.Open(t.Context(), target, schema, database.Options{Observer: statements.Observe(tel)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	tel.Registry.MustRegister(statements.Pools(db))

	ctx, parent := provider.Tracer("test").Start(t.Context(), "request")
	for range 2 {
		_, err = db.Exec(ctx, "INSERT INTO tbl_books (id) VALUES (?)", 1)
	}
	if errors.KindOf(err) != errors.AlreadyExists {
		t.Fatalf("the second insert gave %v", err)
	}
	parent.End()
	if _, err := db.Exec(t.Context(), "INSERT INTO tbl_books (id) VALUES (?)", 2); err != nil { // not traced
		t.Fatal(err)
	}

	families, err := tel.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]*dto.MetricFamily)
	for _, family := range families {
		byName[family.GetName()] = family
	}
	for _, name := range []string{"dbslm_shelf_statement_seconds", "dbslm_shelf_pool_connections", "dbslm_shelf_pool_waits_total", "dbslm_shelf_pool_wait_seconds_total"} {
		if byName[name] == nil {
			t.Errorf("no %s", name)
		}
	}
	failures := byName["dbslm_shelf_statement_failures_total"].GetMetric()
	if len(failures) != 1 || failures[0].GetCounter().GetValue() != 1 ||
		failures[0].GetLabel()[0].GetValue() != "AlreadyExists" || failures[0].GetLabel()[1].GetValue() != "INSERT tbl_books" {
		t.Errorf("failures: %v", failures)
	}
	inserts := 0
	for _, span := range spans.GetSpans() {
		if span.Name == "INSERT tbl_books" {
			inserts++
			if span.Parent.SpanID() != parent.SpanContext().SpanID() {
				t.Errorf("%s hangs on %v", span.Name, span.Parent)
			}
		}
	}
	if inserts != 2 {
		t.Errorf("%d spans of statements", inserts)
	}
}

func TestSlowStatementsAreLogged(t *testing.T) {
	var log bytes.Buffer
	tel, err := telemetry.Setup(telemetry.Config{LogWriter: &log, LogFormat: telemetry.LogText, LogLevel: slog.LevelWarn})
	if err != nil {
		t.Fatal(err)
	}
	observer := statements.Observe(tel)
	for _, took := range []time.Duration{time.Millisecond, 2 * time.Second} {
		observer.Statement(telemetry.WithRequestID(t.Context(), "r1"), database.Statement{Schema: "dbslm_shelf", Name: "SELECT tbl_books", Duration: took})
	}
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "took_ms=2000") || !strings.Contains(got, "request_id=r1") {
		t.Errorf("logged %s", got)
	}
}

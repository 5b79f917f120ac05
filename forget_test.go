package dbslm_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dbslm"
	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"

	"github.com/klauspost/compress/zstd"
)

const quokka = "The Quokka counts the xylophones. Nobody saw the Quokka. The xylophones sing when the Quokka sleeps.\n"

// forgetDocument has a gateway forget a document and returns the last message.
func forgetDocument(ctx context.Context, g gatewayv1.GatewayServiceClient, header *gatewayv1.ForgetHeader) (*gatewayv1.ForgetResponse, error) {
	stream, err := g.Forget(ctx)
	if err != nil {
		return nil, err
	}
	_ = stream.Send(&gatewayv1.ForgetRequest{Part: &gatewayv1.ForgetRequest_Header{Header: header}}) // an error is told by receiving
	_ = stream.CloseSend()
	var last *gatewayv1.ForgetResponse
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			return last, nil
		}
		if err != nil {
			return nil, err
		}
		last = resp
	}
}

// A forgotten document's words are in no table of any level, in no trace, and in no file of an embedded store while everything
// has it open: not before and not after the gateway, or memory, died in the middle. Other words, and what people said, stay.
func TestForgottenWordsAreNowhere(t *testing.T) {
	databasetest.EachTarget(t, func(t *testing.T, target database.Target) {
		w := newWorld(t, target)
		ctx := t.Context()
		train(t, w, "harbour.txt", harbour)
		unread := start(t, w)
		before := respond(t, w, unread, "1", "Who counts?", 3)
		train(t, w, "secret.txt", strings.Repeat(quokka, 40))
		holding := map[string]string{} // replies that say the word, by message
		for seed := range uint64(60) {
			conversation := start(t, w)
			reply := respond(t, w, conversation, "1", "Who sleeps?", seed)
			if said := strings.ToLower(reply.Message.Content); strings.Contains(said, "quokka") || strings.Contains(said, "xylophones") {
				holding[reply.Message.MessageId] = conversation
			}
		}
		if len(holding) < 10 || len(w.holding(t, "quokka")) < 4 {
			t.Fatalf("%d replies hold the word; it stands in %q", len(holding), w.holding(t, "quokka"))
		}
		var quoting func() // of one of them
		for id, conversation := range holding {
			quoting = w.quote(t, id, conversation)
			delete(holding, id)
			break
		}
		const written = 61 // one more while it was quoted
		// A turn that is open under a build that goes.
		late, err := w.late(t)
		if err != nil {
			t.Fatal(err)
		}
		header := func(id string) *gatewayv1.ForgetHeader {
			return &gatewayv1.ForgetHeader{Label: "secret.txt", RequestId: id}
		}
		dry, err := forgetDocument(ctx, w, &gatewayv1.ForgetHeader{Label: "secret.txt", DryRun: true})
		if err != nil || dry.Traces != written || len(dry.Document.GetDroppedBuildIds()) != 1 {
			t.Fatalf("%v, error %v", dry, err)
		}
		for _, bad := range []*gatewayv1.ForgetHeader{{Label: "secrets.txt"}, {Label: "secret.txt", Model: "quay"}} {
			if _, err := forgetDocument(ctx, w, bad); errors.KindOf(err) != errors.NotFound {
				t.Errorf("%v: error %v", bad, err)
			}
		}
		// Dies when level 1 has ended, then after every second step in memory, until it gets through.
		dying := w.gateway(t)
		deaths := 0
		for err = error(errCut); err != nil; deaths++ {
			if deaths > 20 {
				t.Fatal(err)
			}
			steps := 0
			dying.lines[dbslm.Memory].on(func(_ context.Context, method string, when moment) error {
				if method != "ForgetReplies" {
					return nil
				}
				if steps++; steps > deaths {
					return errCut
				}
				return nil
			})
			_, err = forgetDocument(ctx, dying, header("f"))
			if err != nil && errors.KindOf(err) != errors.Unavailable {
				t.Fatal(err)
			}
		}
		if deaths < 4 {
			t.Errorf("it died only %d times", deaths-1)
		}
		again, err := forgetDocument(ctx, w, header("f"))
		if err != nil || again.Traces != written || again.Shortened < uint64(len(holding)) || again.Corrections != 7 {
			t.Errorf("the same request again: %v, error %v", again, err)
		}
		if _, err := forgetDocument(ctx, w, header("another")); errors.ReasonOf(err) != "DOCUMENT_NOT_FOUND" {
			t.Errorf("error %v", err)
		}
		if err := late(); errors.ReasonOf(err) != "BUILD_FORGOTTEN" {
			t.Errorf("a reply from a build that is gone: error %v", err)
		}
		for _, word := range []string{"quokka", "xylophone"} {
			if places := w.holding(t, word); len(places) > 0 {
				t.Errorf("%q is still in %q", word, places)
			}
			if target.Embedded() {
				notInFiles(t, target.String(), word)
			}
		}
		for id, conversation := range holding {
			trace, err := w.GetTrace(ctx, &gatewayv1.GetTraceRequest{MessageId: id})
			why := trace.GetTrace().GetNotReplayable()
			if err != nil || why.GetReason() != "DOCUMENT_FORGOTTEN" || !why.GetTextRemoved() {
				t.Fatalf("%v, error %v", trace, err)
			}
			if history := w.history(t, conversation); len(history) != 2 || history[0].Content != "Who sleeps?" || !strings.Contains(history[1].Content, "[…]") {
				t.Errorf("%v", history)
			}
		}
		if trace, err := w.GetTrace(ctx, &gatewayv1.GetTraceRequest{MessageId: before.Message.MessageId}); err != nil || trace.Trace.NotReplayable != nil || w.history(t, unread)[1].Content != before.Message.Content {
			t.Errorf("a reply from before: %v, error %v", trace, err)
		}
		quoting()
		respond(t, w, unread, "2", "And now?", 4)
	})
}

// Where all that level 1 wrote goes, no sentence of it is left in any reply of the builds that saw the document, also of those that
// say nothing of it; what people said and replies from before stay.
func TestForgetAllReplies(t *testing.T) {
	databasetest.EachTarget(t, func(t *testing.T, target database.Target) {
		w := newWorld(t, target)
		train(t, w, "harbour.txt", harbour)
		unread := start(t, w)
		before := respond(t, w, unread, "1", "Who counts?", 3)
		train(t, w, "secret.txt", quokka)
		replies := map[string]string{} // by conversation
		innocent := 0
		for seed := range uint64(12) {
			conversation := start(t, w)
			said := respond(t, w, conversation, "1", "Who sleeps?", seed).Message.Content
			replies[conversation] = said
			if lower := strings.ToLower(said); !strings.Contains(lower, "quokka") && !strings.Contains(lower, "xylophones") {
				innocent++
			}
		}
		done, err := forgetDocument(t.Context(), w, &gatewayv1.ForgetHeader{Label: "secret.txt", RequestId: "all", Replies: gatewayv1.RepliesToForget_REPLIES_TO_FORGET_ALL})
		if err != nil || done.Traces != 12 || done.Shortened != 12 {
			t.Fatalf("%v, error %v", done, err)
		}
		if innocent == 0 {
			t.Error("every reply says the words: nothing shows the difference")
		}
		for conversation, said := range replies {
			if history := w.history(t, conversation); len(history) != 2 || history[0].Content != "Who sleeps?" || strings.Trim(history[1].Content, "[…] ") != "" {
				t.Errorf("%q became %v", said, history)
			}
		}
		if kept := w.history(t, unread)[1].Content; kept != before.Message.Content {
			t.Errorf("a reply from before, %q, became %q", before.Message.Content, kept)
		}
	})
}

// late opens a turn and prepares a reply from the build that serves; the function it returns commits that.
func (w *world) late(t *testing.T) (func() error, error) {
	f := w.gateway(t)
	conversation := start(t, w)
	entered, release, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	f.lines[dbslm.Memory].on(func(_ context.Context, method string, when moment) error {
		if method == "CommitTurn" && when == before {
			close(entered)
			<-release
		}
		return nil
	})
	go func() {
		_, err := f.Respond(context.WithoutCancel(t.Context()), &gatewayv1.RespondRequest{ConversationId: conversation, RequestId: "late", Text: "Who is late?"})
		done <- err
	}()
	<-entered
	return func() error { close(release); return <-done }, nil
}

// holding lists the columns of all levels that hold a text, in the clear or compressed.
func (w *world) holding(t *testing.T, what string) (places []string) {
	t.Helper()
	opener, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer opener.Close()
	for service, db := range w.dbs {
		query := `SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name LIKE 'tbl_%'`
		if db.Dialect() == database.MySQL {
			query = `SELECT c.table_name, c.column_name FROM information_schema.columns c JOIN information_schema.tables t
ON t.table_schema = c.table_schema AND t.table_name = c.table_name WHERE c.table_schema = DATABASE() AND t.table_type = 'BASE TABLE' AND c.table_name LIKE 'tbl_%'`
		}
		columns := map[string][]string{}
		err := db.Stream(t.Context(), query, nil, func(row database.Row) error {
			columns[string(row.Bytes(0))] = append(columns[string(row.Bytes(0))], string(row.Bytes(1)))
			return nil
		})
		if err != nil || len(columns) < 5 {
			t.Fatal(columns, err)
		}
		for table, names := range columns {
			found := map[string]bool{}
			rows, err := db.Query(t.Context(), "SELECT "+strings.Join(names, ", ")+" FROM "+table)
			if err != nil {
				t.Fatal(err)
			}
			values, into := make([][]byte, len(names)), make([]any, len(names))
			for i := range values {
				into[i] = &values[i]
			}
			for rows.Next() {
				if err := rows.Scan(into...); err != nil {
					t.Fatal(err)
				}
				for i, value := range values {
					if unpacked, err := opener.DecodeAll(value, nil); err == nil {
						value = unpacked
					}
					found[names[i]] = found[names[i]] || bytes.Contains(bytes.ToLower(value), []byte(what))
				}
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
			rows.Close()
			for name, yes := range found {
				if yes {
					places = append(places, string(service)+"."+table+"."+name)
				}
			}
		}
	}
	return places
}

// notInFiles looks for a word in every file below a directory.
func notInFiles(t *testing.T, dir, word string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(bytes.ToLower(data), []byte(word)) {
			t.Errorf("%s still holds %q", path, word)
		}
		files++
		return err
	})
	if err != nil || files < 3 {
		t.Fatalf("%d files in %s, error %v", files, dir, err)
	}
}

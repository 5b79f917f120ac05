package edge_test

import (
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"dbslm"
	"dbslm/gateway/edge"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the answers in docs/http.md")

var (
	curl  = regexp.MustCompile(`^    \$ curl -s (?:-H 'Content-Type: application/json' -d '(.*)' )?http://127.0.0.1:7480(\S+)$`)
	ids   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	times = regexp.MustCompile(`"created":\d+|20\d\d-\d\d-\d\dT[0-9:.]+Z`)

	// Ids in requests stand for those of the answers before.
	named          = regexp.MustCompile(`"(conversation_id|message_id)": "01a20000-0000-7000-8000-000000000000"`)
	conversationID = regexp.MustCompile(`"conversationId":"([^"]+)"`)
	messageID      = regexp.MustCompile(`"messageId":"([^"]+)"`)
)

// docs/http.md shows what its commands answer after its training, but for ids and times.
func TestDocument(t *testing.T) {
	const name = "../../docs/http.md"
	doc, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	sys, err := dbslm.Open(t.Context(), dbslm.Config{DB: ":memory:"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sys.Close() })
	files, err := filepath.Glob("../../examples/sail-loft/corpus/*.txt")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	messages := []*gatewayv1.TrainRequest{{Part: &gatewayv1.TrainRequest_Header{Header: &gatewayv1.TrainHeader{
		Ingest: &ngramv1.IngestHeader{Model: "default", Settings: &ngramv1.ModelSettings{Order: 6}},
	}}}}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages,
			&gatewayv1.TrainRequest{Part: &gatewayv1.TrainRequest_Start{Start: &ngramv1.DocumentStart{Label: filepath.Base(file)}}},
			&gatewayv1.TrainRequest{Part: &gatewayv1.TrainRequest_Chunk{Chunk: text}},
			&gatewayv1.TrainRequest{Part: &gatewayv1.TrainRequest_End{End: &ngramv1.DocumentEnd{}}})
	}
	train(t, sys, messages...)
	url := serve(t, sys.Conn(), edge.Options{})

	var out strings.Builder
	shown, asked := false, 0
	latest := map[string]string{} // the ids that the answers named, by field, as requests name them
	for line := range strings.Lines(string(doc)) {
		command := curl.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if shown && command == nil && strings.HasPrefix(line, "    ") {
			continue // an answer of before
		}
		shown = command != nil
		out.WriteString(line)
		if !shown {
			continue
		}
		method := http.MethodGet
		if command[1] != "" {
			method = http.MethodPost
		}
		request := named.ReplaceAllStringFunc(command[1], func(s string) string { return latest[strings.Split(s, `"`)[1]] })
		_, body := ask(t, method, url+command[2], request)
		asked++
		for field, found := range map[string]*regexp.Regexp{"conversation_id": conversationID, "message_id": messageID} {
			if id := found.FindStringSubmatch(body); id != nil {
				latest[field] = `"` + field + `": "` + id[1] + `"`
			}
		}
		body = times.ReplaceAllStringFunc(ids.ReplaceAllString(body, "01a20000-0000-7000-8000-000000000000"), func(s string) string {
			if strings.HasPrefix(s, `"`) {
				return `"created":1795000000`
			}
			return "2026-11-23T12:00:00Z"
		})
		for answer := range strings.Lines(body) {
			if answer = strings.TrimSpace(answer); answer != "" {
				out.WriteString("    " + answer + "\n")
			}
		}
	}
	if asked < 8 {
		t.Errorf("only %d commands were found", asked)
	}
	if *update {
		if err := os.WriteFile(name, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(doc), out.String()); diff != "" {
		t.Errorf("docs/http.md shows other answers; go test ./gateway/edge -run TestDocument -update writes these (-shown +answered):\n%s", diff)
	}
}

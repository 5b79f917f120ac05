package dbslm_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"dbslm"
	"dbslm/pkg/database"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	memorystore "dbslm/services/memory/store"
)

// BenchmarkTraces measures what the traces of replies take as they are stored: bytes a reply and, of replies that level 1 wrote,
// bytes a token; what of them replays do not need; and the text that they are traces of. From War and Peace of DBSLM_DATA_DIR, else
// the corpus of the demo, and with the demo's bot.
func BenchmarkTraces(b *testing.B) {
	binary, dir := filepath.Join(b.TempDir(), "dbslm"), filepath.Join(b.TempDir(), "db")
	text := "examples/sail-loft/corpus"
	if data := os.Getenv("DBSLM_DATA_DIR"); data != "" {
		text = filepath.Join(data, "warandpeace.train.txt")
	}
	for _, command := range [][]string{
		{"go", "build", "-o", binary, "./cmd/dbslm"}, {binary, "train", text, "--db", dir, "--order", "4"},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			b.Fatalf("%v: %v\n%s", command, err, out)
		}
	}
	target, err := database.ParseTarget(dir)
	if err != nil {
		b.Fatal(err)
	}
	for i, questions := range [][]string{
		{"Who came in the evening?", "What did the prince say to his father?", "Tell me about the war.", "Where is the countess?"},
		{"When are you open?", "How long does a repair take?", "What do you lend?", "Remind me what we discussed."},
	} {
		name := fmt.Sprint("level", []int{1, 3}[i])
		if i == 1 {
			if out, err := exec.Command(binary, "concepts", "apply", "examples/sail-loft/bot.yaml", "--db", dir).CombinedOutput(); err != nil {
				b.Fatalf("%v\n%s", err, out)
			}
		}
		b.Run(name, func(b *testing.B) {
			var replies, tokens, written float64
			for b.Loop() {
				sys, err := dbslm.Open(b.Context(), dbslm.Config{DB: dir})
				if err != nil {
					b.Fatal(err)
				}
				started, err := sys.Gateway().StartConversation(b.Context(), &gatewayv1.StartConversationRequest{UserId: name})
				if err != nil {
					b.Fatal(err)
				}
				for i := range 40 {
					seed := uint64(i)
					resp, err := sys.Gateway().Respond(b.Context(), &gatewayv1.RespondRequest{
						ConversationId: started.Conversation.ConversationId, RequestId: fmt.Sprint(i), Text: questions[i%len(questions)], Parameters: &ngramv1.DecodeParameters{Seed: &seed},
					})
					if err != nil {
						b.Fatal(err)
					}
					replies++
					for _, s := range resp.Trace.Segments {
						tokens += float64(len(s.TokenIds))
						if s.Span == nil {
							written++
						}
					}
				}
				if err := sys.Close(); err != nil {
					b.Fatal(err)
				}
			}
			db, err := database.Open(b.Context(), target, memorystore.Schema, database.Options{MustExist: true})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			var body, detail, unpacked, content float64
			err = db.QueryRow(b.Context(), `SELECT SUM(OCTET_LENGTH(t.body)), SUM(COALESCE(OCTET_LENGTH(t.detail), 0)), SUM(t.body_bytes), SUM(OCTET_LENGTH(m.content)) FROM tbl_l2_message_traces t
JOIN tbl_l2_messages m ON m.tenant = t.tenant AND m.message_id = t.message_id JOIN tbl_l2_conversations c ON c.tenant = m.tenant AND c.conversation_id = m.conversation_id WHERE c.user_id = ?`, name).
				Scan(&body, &detail, &unpacked, &content)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(body/replies, "body-B/reply")
			b.ReportMetric(detail/replies, "detail-B/reply")
			b.ReportMetric(unpacked/replies, "unpacked-B/reply")
			b.ReportMetric(content/replies, "text-B/reply")
			b.ReportMetric(written/replies, "free/reply")
			if tokens > 0 {
				b.ReportMetric(body/tokens, "body-B/token")
			}
		})
	}
}

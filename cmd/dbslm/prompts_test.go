package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	system "dbslm"
	"dbslm/pkg/telemetry"
	"dbslm/pkg/text"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"google.golang.org/protobuf/proto"
)

// book is a text to train on and held-out lines of it to say to the model.
type book struct {
	name    string
	train   []string // paths
	prompts []string
}

// books are the demo's corpus and, where DBSLM_DATA_DIR names the folder that has it, War and Peace.
func books(t testing.TB) []book {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(corpus(), "*.txt"))
	if err != nil || len(files) < 5 {
		t.Fatalf("the demo's corpus has the files %v, %v", files, err)
	}
	train, held := files[:len(files)-2], files[len(files)-2:]
	all := []book{{"sail-loft", train, append(heldOut(t, held[0], 25), heldOut(t, held[1], 25)...)}}
	if dir := os.Getenv("DBSLM_DATA_DIR"); dir != "" {
		all = append(all, book{"warandpeace", []string{filepath.Join(dir, "warandpeace.train.txt")}, heldOut(t, filepath.Join(dir, "warandpeace.test.txt"), 200)})
	}
	return all
}

// heldOut is n lines of a file, spread over it.
func heldOut(t testing.TB, path string, n int) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(data)) {
		if words := strings.Fields(line); len(words) >= 4 {
			lines = append(lines, strings.Join(words, " "))
		}
	}
	if len(lines) < n {
		t.Fatalf("%s has %d lines to say, not %d", path, len(lines), n)
	}
	prompts := make([]string, n)
	for i := range prompts {
		prompts[i] = lines[i*len(lines)/n]
	}
	return prompts
}

// wordsOf are the words of a text in lower case, without punctuation.
func wordsOf(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
}

// quoteLength is how many words in a row two texts may not share.
const quoteLength = 8

// quoted returns a run of quoteLength words that both texts have; "" when there is none.
func quoted(reply, said string) string {
	runs := map[string]bool{}
	words := wordsOf(said)
	for i := 0; i+quoteLength <= len(words); i++ {
		runs[strings.Join(words[i:i+quoteLength], " ")] = true
	}
	words = wordsOf(reply)
	for i := 0; i+quoteLength <= len(words); i++ {
		if run := strings.Join(words[i:i+quoteLength], " "); runs[run] {
			return run
		}
	}
	return ""
}

// endsAsSentence reports whether a text ends with a mark that ends sentences, before closing quotes and brackets.
func endsAsSentence(s string) bool {
	s = strings.TrimRight(s, ")]}\"'’”»*_ ")
	return s != "" && strings.ContainsAny(s[len(strings.TrimRight(s, ".!?…。！？")):], ".!?…。！？")
}

// beginnings are the tokens and the words with which sentences of the texts begin: a quotation mark is a token.
func beginnings(t testing.TB, paths []string) map[string]bool {
	t.Helper()
	first := map[string]bool{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sentences(t, string(data)) {
			first[s[0]] = true
			if words := wordsOf(strings.Join(s, " ")); len(words) > 0 {
				first[words[0]] = true
			}
		}
	}
	return first
}

// beginning is the first token and the first word of a reply.
func beginning(t testing.TB, reply string) (token, word string) {
	t.Helper()
	return sentences(t, reply)[0][0], wordsOf(reply)[0]
}

// sentences are the sentences of a text as the tokeniser words cuts them.
func sentences(t testing.TB, s string) [][]string {
	t.Helper()
	tokenizer, err := text.NewTokenizer(text.Words, "", text.NFC)
	if err != nil {
		t.Fatal(err)
	}
	split, err := tokenizer.Split(s)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for _, sentence := range split {
		all = append(all, sentence.Texts())
	}
	return all
}

// speaker is a conversation in this process.
type speaker struct {
	gateway      gatewayv1.GatewayServiceClient
	conversation string
	window       []string // what both said lately, as far as a reply may see it
}

func newSpeaker(t testing.TB, gateway gatewayv1.GatewayServiceClient) *speaker {
	t.Helper()
	started, err := gateway.StartConversation(context.Background(), &gatewayv1.StartConversationRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return &speaker{gateway: gateway, conversation: started.Conversation.ConversationId}
}

func (s *speaker) say(t testing.TB, prompt string, seed uint64) *gatewayv1.RespondResponse {
	t.Helper()
	resp, err := s.gateway.Respond(context.Background(), &gatewayv1.RespondRequest{
		ConversationId: s.conversation, Text: prompt, Parameters: &ngramv1.DecodeParameters{Seed: &seed},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.window = append(s.window, prompt, resp.Message.Content)
	if past := len(s.window) - 2*7; past > 0 { // six turns and the one at hand
		s.window = s.window[past:]
	}
	return resp
}

// Held-out lines as prompts, ten to a conversation, every other one cut off so that it begs to be continued: no reply is empty, quotes what was said, or continues the prompt's
// sentence, and each ends as a sentence or with finish reason "length".
func TestTwoHundredPrompts(t *testing.T) {
	for _, b := range books(t) {
		t.Run(b.name, func(t *testing.T) {
			inNewDir(t)
			succeed(t, append([]string{"train", "--db", "store", "--order", "3"}, b.train...)...)
			sys, err := system.Open(t.Context(), system.Config{DB: "store"})
			if err != nil {
				t.Fatal(err)
			}
			defer sys.Close()
			first := beginnings(t, b.train)
			var s *speaker
			var long, concepts int
			for i, prompt := range b.prompts {
				if i%10 == 0 {
					s = newSpeaker(t, sys.Gateway())
				}
				rest := ""
				if words := strings.Fields(prompt); i%2 == 1 {
					prompt, rest = strings.Join(words[:len(words)/2], " "), strings.Join(words[len(words)/2:], " ")
				}
				window := slices.Clone(s.window)
				resp := s.say(t, prompt, uint64(i+1))
				wrong := func(what string) {
					t.Helper()
					t.Errorf("%s\n prompt: %s\n  reply: %s", what, prompt, resp.Message.Content)
				}
				reply := resp.Message.Content
				if len(wordsOf(reply)) == 0 || len(resp.Trace.Degradations) > 0 {
					wrong(fmt.Sprintf("no words, or degraded: %v", resp.Trace.Degradations))
					continue
				}
				for _, said := range append(window, prompt) {
					if run := quoted(reply, said); run != "" {
						wrong(fmt.Sprintf("the reply shares %q with what was said: %s", run, said))
					}
				}
				if resp.Trace.Segments[0].Span != nil {
					concepts++
				} else if token, word := beginning(t, reply); !first[token] && !first[word] {
					wrong(fmt.Sprintf("the reply begins with %q %q, as no sentence of the book does", token, word))
				}
				if next := wordsOf(rest); len(next) > 2 && strings.HasPrefix(strings.Join(wordsOf(reply), " ")+" ", strings.Join(next[:3], " ")+" ") {
					wrong("the reply goes on where the prompt was cut: " + rest)
				}
				switch {
				case resp.FinishReason == ngramv1.FinishReason_FINISH_REASON_LENGTH:
					long++
				case resp.FinishReason != ngramv1.FinishReason_FINISH_REASON_STOP || !endsAsSentence(reply):
					wrong(fmt.Sprintf("the reply does not end as a sentence (finish reason %v)", resp.FinishReason))
				}
			}
			t.Logf("%d replies, %d of them cut off at the longest length, %d by concepts", len(b.prompts), long, concepts)
			if concepts > len(b.prompts)/20 {
				t.Errorf("%d of %d lines of a book were answered by concepts that know nothing of them", concepts, len(b.prompts))
			}
		})
	}
}

// Turn 50 of a conversation costs what turn 5 costs: as many SQL statements, and a reply and trace no larger.
func TestFiftyTurns(t *testing.T) {
	inNewDir(t)
	b := books(t)[0]
	succeed(t, append([]string{"train", "--db", "store"}, b.train...)...)
	tel, err := telemetry.Setup(telemetry.Config{LogWriter: t.Output(), LogLevel: slog.LevelError})
	if err != nil {
		t.Fatal(err)
	}
	sys, err := system.Open(t.Context(), system.Config{DB: "store", Telemetry: tel})
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close()
	converse := func() (statements, bytes []int) {
		s := newSpeaker(t, sys.Gateway())
		for i := range 55 {
			before := statementsOf(t, tel)
			resp := s.say(t, b.prompts[i%5], uint64(i%5))
			statements = append(statements, statementsOf(t, tel)-before)
			bytes = append(bytes, proto.Size(resp))
		}
		return statements, bytes
	}
	converse() // fills the caches of contexts
	statements, bytes := converse()
	// The middle one of five, because use counts are flushed in between.
	middle := func(turns []int) int { return slices.Sorted(slices.Values(turns))[len(turns)/2] }
	if early, late := middle(statements[4:9]), middle(statements[49:54]); late > early {
		t.Errorf("%d statements around turn 5, %d around turn 50: %v", early, late, statements)
	}
	if early, late := middle(bytes[4:9]), middle(bytes[49:54]); late > early+early/10 {
		t.Errorf("%d bytes of reply and trace around turn 5, %d around turn 50: %v", early, late, bytes)
	}
	t.Logf("statements of each turn: %v; bytes of each reply with its trace: %v", statements, bytes)
}

// statementsOf is how many SQL statements were executed.
func statementsOf(t testing.TB, tel *telemetry.Telemetry) int {
	t.Helper()
	families, err := tel.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var n uint64
	for _, family := range families {
		if strings.HasSuffix(family.GetName(), "_statement_seconds") {
			for _, m := range family.GetMetric() {
				n += m.GetHistogram().GetSampleCount()
			}
		}
	}
	return int(n)
}

// BenchmarkTurn is one turn at several depths of a conversation; they should cost the same.
func BenchmarkTurn(b *testing.B) {
	book := books(b)[0]
	b.Chdir(b.TempDir())
	if code := run(b.Context(), append([]string{"train", "--db", "store"}, book.train...), streams{in: strings.NewReader(""), out: b.Output(), err: b.Output()}); code != exitOK {
		b.Fatal(code)
	}
	sys, err := system.Open(b.Context(), system.Config{DB: "store"})
	if err != nil {
		b.Fatal(err)
	}
	defer sys.Close()
	for _, depth := range []int{5, 50, 500} {
		b.Run(fmt.Sprint("turn=", depth), func(b *testing.B) {
			s := newSpeaker(b, sys.Gateway())
			for i := range depth - 1 {
				s.say(b, book.prompts[i%5], uint64(i))
			}
			for i := 0; b.Loop(); i++ {
				s.say(b, book.prompts[i%5], uint64(i))
			}
		})
	}
}

package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"
)

// sameModel is two texts that must give the same model, or must not.
type sameModel struct {
	given, decided string // for the document
	tokenizers     []string
	text, like     string
	differs        bool
	flags          []string
}

var everyTokenizer = []string{"words", "whitespace", "bytes"}

func equivalences() []sameModel {
	const plain = "The boat is here.\nThe café is there. It is closed.\n"
	return []sameModel{
		{"a file without a final newline", "the last line counts like any other", everyTokenizer, strings.TrimSuffix(plain, "\n"), plain, false, nil},
		{"CRLF at the ends of lines", "as LF", []string{"words", "whitespace"}, strings.ReplaceAll(plain, "\n", "\r\n"), plain, false, nil},
		{"CRLF at the ends of lines", "the CR is a byte before the end", []string{"bytes"}, strings.ReplaceAll(plain, "\n", "\r\n"), plain, true, nil},
		{"a byte order mark", "is no text; it also names the encoding", everyTokenizer, "\ufeff" + plain, plain, false, nil},
		{"UTF-16 with a byte order mark", "is read as such, whatever `--encoding` says", everyTokenizer, utf16le(plain), plain, false, nil},
		{"a decomposed é (e and U+0301)", "equals the composed one (NFC)", everyTokenizer, norm.NFD.String(plain), plain, false, nil},
		{"a decomposed é under `--normalization none`", "is what it is", everyTokenizer, norm.NFD.String(plain), plain, true, []string{"--normalization", "none"}},
		{"an empty line", "ends a paragraph", []string{"words"}, "The boat is here.\n\n\nThe café\n", "The boat is here.\n\nThe café\n", false, nil},
		{"an empty line", "is an empty sentence", []string{"whitespace"}, "the boat\n\nis here\n", "the boat\nis here\n", true, nil},
		{"a NUL byte in a text", "separates words; a warning asks about the encoding", []string{"words", "whitespace"}, "the boat\x00is here\n", "the boat is here\n", false, nil},
		{"a NUL byte in a text", "is a byte; a warning asks about the encoding", []string{"bytes"}, "the boat\x00is here\n", "the boat is here\n", true, nil},
		{"`<s>` in a text, with the tokeniser words", "is three tokens: `<`, `s`, `>`", []string{"words"}, "the boat <s> is here\n", "the boat < s > is here\n", false, nil},
		{"a word longer than 1024 bytes, with the tokeniser words", "is cut into pieces that fit", []string{"words"}, strings.Repeat("x", 5000) + "\n", strings.Repeat("x", 5000) + " \n", false, nil},
		{"Chinese and Japanese, without spaces", "one token for each character", []string{"words"}, "港の男は船を数えた。", "港 の 男 は 船 を 数 え た 。", false, nil},
		{"Chinese and Japanese, without spaces", "one token for the line; use words or bytes", []string{"whitespace"}, "港の男は船を数えた。", "港 の 男 は 船 を 数 え た 。", true, nil},
	}
}

// What is neither plain nor refused is decided, and stands in docs/bad-input.md.
func TestDecided(t *testing.T) {
	inNewDir(t)
	var doc strings.Builder
	doc.WriteString("\n| given | tokenisers | what it means |\n|---|---|---|\n")
	for i, e := range equivalences() {
		fmt.Fprintf(&doc, "| %s | %s | %s |\n", e.given, strings.Join(e.tokenizers, ", "), e.decided)
		t.Run(fmt.Sprint(i, " ", e.given), func(t *testing.T) {
			write(t, "text.txt", e.text)
			write(t, "like.txt", e.like)
			for _, tokenizer := range e.tokenizers {
				train := func(file string) (modelSummary, evaluation) {
					name := fmt.Sprint(file, "-", i, "-", tokenizer)
					succeed(t, append([]string{"train", file + ".txt", "--model", name, "--db", "store", "--tokenizer", tokenizer, "--storage", "exact", "--order", "2"}, e.flags...)...)
					m := modelOf(t, place{[]string{"--db", "store"}}, name)
					m.Name, m.PublishedBuild = "", 0
					result := decode[evaluation](t, succeed(t, "eval", "like.txt", "--model", name, "--db", "store", "--json"))
					result.Model, result.Build, result.Evaluation, result.Created = "", 0, "", time.Time{}
					result.P50, result.P90, result.P99, result.Max = 0, 0, 0, 0
					return m, result
				}
				textModel, text := train("text")
				likeModel, like := train("like")
				if same := cmp.Equal(textModel, likeModel) && cmp.Equal(text, like); same == e.differs {
					t.Errorf("%s: a model of it has %+v and gives %+v; its like has %+v and gives %+v", tokenizer, textModel, text, likeModel, like)
				}
			}
		})
	}
	checkSection(t, "docs/bad-input.md", "decided", doc.String())
}

// The API says what is unknown with the kind NotFound, and which of its peers' refusals is which.
func TestUnknownThroughTheAPI(t *testing.T) {
	inHarbour(t)
	succeed(t, "train", "harbour.txt", "--db", "store")
	a := &app{db: "store", streams: streams{err: t.Output()}}
	conn, err := a.connect(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.close(); err != nil {
			t.Error(err)
		}
	}()
	started, err := conn.gateway.StartConversation(t.Context(), &gatewayv1.StartConversationRequest{})
	if err != nil {
		t.Fatal(err)
	}
	conversation := started.Conversation.ConversationId
	for name, test := range map[string]struct {
		call   func() error
		kind   errors.Kind
		reason string
	}{
		"model": {func() error {
			_, err := conn.gateway.Respond(t.Context(), &gatewayv1.RespondRequest{ConversationId: conversation, Text: "Hello.", Model: "nobody"})
			return err
		}, errors.NotFound, "MODEL_NOT_FOUND"},
		"conversation": {func() error {
			_, err := conn.gateway.Respond(t.Context(), &gatewayv1.RespondRequest{ConversationId: "nowhere", Text: "Hello."})
			return err
		}, errors.NotFound, "CONVERSATION_NOT_FOUND"},
		"concept": {func() error {
			_, err := conn.gateway.PushSignal(t.Context(), &gatewayv1.PushSignalRequest{ConversationId: conversation, RequestId: "1", Concept: "Nothing"})
			return err
		}, errors.NotFound, "CONCEPT_NOT_FOUND"},
		"order": {func() error {
			_, err := ngramv1.NewModelServiceClient(conn).CreateModel(t.Context(), &ngramv1.CreateModelRequest{Name: "big", Settings: &ngramv1.ModelSettings{Order: 256}})
			return err
		}, errors.InvalidArgument, ""},
		"empty text": {func() error {
			_, err := conn.gateway.Respond(t.Context(), &gatewayv1.RespondRequest{ConversationId: conversation, Text: " \n"})
			return err
		}, errors.InvalidArgument, ""},
		"a text above 1 MiB": {func() error {
			_, err := conn.gateway.Respond(t.Context(), &gatewayv1.RespondRequest{ConversationId: conversation, Text: strings.Repeat("boat ", 300_000)})
			return err
		}, errors.InvalidArgument, ""},
		"a text that is not UTF-8": {func() error {
			_, err := conn.gateway.Respond(t.Context(), &gatewayv1.RespondRequest{ConversationId: conversation, Text: "caf\xe9"})
			return err
		}, errors.InvalidArgument, ""},
		"a NUL byte": {func() error {
			_, err := conn.gateway.Respond(t.Context(), &gatewayv1.RespondRequest{ConversationId: conversation, Text: "a\x00b"})
			return err
		}, errors.InvalidArgument, ""},
	} {
		err := test.call()
		if err == nil || errors.KindOf(err) != test.kind || (test.reason != "" && errors.ReasonOf(err) != test.reason) {
			t.Errorf("unknown or bad %s: %v (kind %v, reason %s); want %v %s", name, err, errors.KindOf(err), errors.ReasonOf(err), test.kind, test.reason)
		}
	}
	history, err := conn.gateway.GetHistory(t.Context(), &gatewayv1.GetHistoryRequest{ConversationId: conversation})
	if err != nil || len(history.Messages) != 0 {
		t.Errorf("refused requests left %v, %v", history.GetMessages(), err)
	}
}

// A text with a reserved mark is refused by default and counted where the model takes it as a word.
func TestLiteralMarks(t *testing.T) {
	inNewDir(t)
	write(t, "marks.txt", "the boat <s> is here\nthe boat </s> is <unk>\n")
	succeed(t, "train", "marks.txt", "--db", "store", "--tokenizer", "whitespace", "--unk", "literal")
	if m := modelOf(t, place{[]string{"--db", "store"}}, "default"); m.Tokens != 10 || m.Unk != "literal" || m.Vocabulary != 10 {
		t.Errorf("%+v; want 10 tokens of 7 words and 3 marks", m)
	}
	if r := invoke(t, "eval", "marks.txt", "--db", "store", "--json"); r.code != exitOK {
		t.Errorf("%+v", r)
	}
}

// A longest message is answered, and one line too long does not end a conversation.
func TestLongMessages(t *testing.T) {
	inHarbour(t)
	succeed(t, "train", "harbour.txt", "--db", "store")
	longest := strings.Repeat("boat ", 1<<20/5)
	longest += strings.Repeat("s", 1<<20-len(longest))
	r := invokeReading(t, longest+"\n"+longest+"s\n"+longest+longest+"\nWho sings?\n\xff\na\x00b\nBye.", "chat", "--db", "store", "--seed", "1")
	if r.code != exitOK || strings.Count(r.out, "assistant> ") != 3 || !strings.Contains(r.out, "Conversation ended after 3 turns.\n") {
		t.Errorf("exit code %d, %d replies", r.code, strings.Count(r.out, "assistant> "))
	}
	want := "error: the text has 1,048,577 bytes; the longest message has 1,048,576: shorten it\n" +
		"error: the line is longer than 1 MiB, the longest message; shorten it\n" +
		"error: the text is not valid UTF-8 at byte offset 0; is the terminal set to another encoding?\n" +
		"error: the text has a NUL byte at byte offset 1; remove it\n"
	if r.err != want {
		t.Errorf("standard error:\n%s", r.err)
	}
}

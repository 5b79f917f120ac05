package server

import (
	"os"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/text"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/goldentest"
	"dbslm/services/ngram/ngramtest"
	"dbslm/services/ngram/store"
)

// story is running text, with a heading, direct speech, an abbreviation and names.
const story = `The Harbour

Mr. Vole kept the lighthouse. Every evening he lit the lamp, and every morning he put it out again. "The lamp is the
heart of the harbour," he used to say.

One night the wind took the roof of the boat shed. Anna and her brother Ben heard it in their beds. "Did you hear
that?" asked Ben. "I did," said Anna, "and I think it was the shed!"

In the morning they went down to the harbour. The roof lay in the water (upside down), and the boats lay in the
sand. Mr. Vole was there already. "We need nails," he said. "We need a lot of nails, and somebody who isn't afraid
of the wind."

Anna was not afraid. She climbed the ladder, and Ben handed her the nails. By noon the shed had a roof again. The
lamp burned all night, and the wind went home. Nobody in the harbour forgot the night of the wind, or the morning of
the nails.`

// checkReply says what every reply must be.
func checkReply(t *testing.T, prompt string, reply generation) {
	t.Helper()
	written := reply.Text
	if strings.TrimSpace(written) == "" {
		t.Errorf("after %q: an empty reply", prompt)
		return
	}
	if written != strings.TrimSpace(written) || strings.Contains(written, "  ") {
		t.Errorf("after %q: stray spaces in %q", prompt, written)
	}
	for _, bad := range []string{" .", " ,", " ?", " !", "<unk>", "<s>", "</s>", "( ", " )", "“ ", " ”"} {
		if strings.Contains(written, bad) {
			t.Errorf("after %q: %q in %q", prompt, bad, written)
		}
	}
	if strings.Count(written, "“") != strings.Count(written, "”") {
		t.Errorf("after %q: quotes are not in pairs in %q", prompt, written)
	}
	first, _ := utf8.DecodeRuneInString(strings.TrimLeftFunc(written, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) }))
	if unicode.IsLower(first) {
		t.Errorf("after %q: %q does not begin like a sentence", prompt, written)
	}
	last, _ := utf8.DecodeLastRuneInString(strings.TrimRight(written, "”’'\")]"))
	if !text.IsSentenceEnd(string(last)) && reply.Reason != ngramv1.FinishReason_FINISH_REASON_LENGTH {
		t.Errorf("after %q: %q ends with %v, but not as a sentence", prompt, written, reply.Reason)
	}
	if len(prompt) > 20 && strings.Contains(strings.ToLower(written), strings.ToLower(prompt)) {
		t.Errorf("after %q: the reply quotes it: %q", prompt, written)
	}
}

func TestRepliesReadAsSentences(t *testing.T) {
	words, err := text.NewTokenizer(text.Words, "", "")
	if err != nil {
		t.Fatal(err)
	}
	sentences, err := words.Split(story)
	if err != nil {
		t.Fatal(err)
	}
	var foreign []string // two sentences a line, lower-cased, as other tools write them
	for i, sentence := range sentences {
		line := strings.Join(sentence.Texts(), " ")
		if i%2 == 1 {
			foreign[i/2] += " " + line
		} else {
			foreign = append(foreign, line)
		}
	}
	for tokenizer, training := range map[ngram.Tokenizer]string{
		ngram.TokenizerWords:      story,
		ngram.TokenizerWhitespace: strings.Join(foreign, "\n") + "\n",
	} {
		t.Run(string(tokenizer), func(t *testing.T) {
			replies := map[string]string{}
			databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
				ngramtest.Train(t, db, "story", ngram.Settings{Order: 3, Tokenizer: tokenizer}, ngram.BuildOptions{}, training)
				client := dial(t, db, store.ReaderOptions{})
				for seed, prompt := range []string{"", "Who keeps the lighthouse?", "tell me about nails", "Anna and Ben went down to the", "\x00<s>", "灯台", "e\u0301"} {
					for best := range uint32(2) {
						request := &ngramv1.GenerateRequest{
							Model: "story", History: []string{prompt}, Prompt: prompt,
							Parameters: &ngramv1.DecodeParameters{Seed: proto.Uint64(uint64(seed)), BestOf: proto.Uint32(1 + 7*best), MaxSentences: proto.Uint32(1 + best)},
						}
						reply := generate(t, client, request)
						checkReply(t, prompt, reply)
						key := prompt + string(rune('0'+best))
						if other, known := replies[key]; known && other != reply.Text {
							t.Errorf("after %q: %q on one engine, %q on the other", prompt, other, reply.Text)
						}
						replies[key] = reply.Text
						t.Logf("%q → %q", prompt, reply.Text)
					}
				}
			})
		})
	}
}

// The first 200 held-out lines of a corpus as prompts.
func TestRepliesToHeldOutLines(t *testing.T) {
	for _, c := range goldentest.Cases(t) {
		if c.Quirk || c.Order != 3 {
			continue // the tiny texts have no sentence marks, and one order is enough
		}
		t.Run(c.Name, func(t *testing.T) {
			training, err := os.ReadFile(c.TrainFile)
			if err != nil {
				t.Fatal(err)
			}
			db := databasetest.Open(t, databasetest.SQLiteTarget(t), store.Schema, database.Options{})
			ngramtest.Train(t, db, c.Name, ngram.Settings{Order: c.Order, Tokenizer: ngram.TokenizerWhitespace}, ngram.BuildOptions{}, string(training))
			client := dial(t, db, store.ReaderOptions{})
			cut := 0
			for seed, sentence := range c.Test[:200] {
				prompt := strings.Join(sentence, " ")
				reply := generate(t, client, &ngramv1.GenerateRequest{
					Model: c.Name, History: []string{prompt},
					Parameters: &ngramv1.DecodeParameters{Seed: proto.Uint64(uint64(seed))},
				})
				checkReply(t, prompt, reply)
				if reply.Reason == ngramv1.FinishReason_FINISH_REASON_LENGTH {
					cut++
				}
			}
			t.Logf("%d of 200 replies were cut at the length", cut)
		})
	}
}

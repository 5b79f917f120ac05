package store_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/store"
)

func source(label, text string) store.Source {
	return store.Source{Label: label, Text: strings.NewReader(text)}
}

// receive sends documents to a model, made with the settings if there is none, and counts them.
func receive(t testing.TB, s *store.Store, name string, settings ngram.Settings, sources ...store.Source) ([]ngram.Outcome, error) {
	t.Helper()
	ctx := context.Background()
	if _, _, err := s.CreateModel(ctx, tenant, name, settings); err != nil {
		t.Fatal(err)
	}
	var outcomes []ngram.Outcome
	return outcomes, s.Train(ctx, tenant, name, "test", func(ctx context.Context, trainer *store.Trainer) error {
		for _, source := range sources {
			_, outcome, err := trainer.Receive(ctx, source)
			if err != nil {
				return err
			}
			outcomes = append(outcomes, outcome)
		}
		_, err := trainer.Count(ctx, nil)
		return err
	})
}

func TestDocuments(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, store.Options{})
		whitespace := ngram.Settings{Order: 2, Tokenizer: ngram.TokenizerWhitespace}
		outcomes, err := receive(t, s, "m", whitespace, source("a", "x y\n"), source("b", "\n \n"), source("c", "x z\n\ny"))
		if diff := cmp.Diff([]ngram.Outcome{ngram.OutcomeCounted, ngram.OutcomeEmpty, ngram.OutcomeCounted}, outcomes); err != nil || diff != "" {
			t.Fatal(err, diff)
		}
		want := read(t, db, "m", 0)
		// "c" has an empty line, which is an empty sentence, and no final newline, which changes nothing.
		if got := want.Grams["<S> </S>"]; got != "c 1 a 1" {
			t.Errorf("an empty line counts as %q", got)
		}
		if got := want.Grams["y </S>"]; got != "c 2 a 2" {
			t.Errorf("y at the end counts as %q", got)
		}
		documents, err := s.Documents(t.Context(), tenant, "m", "", 10)
		if err != nil || len(documents) != 2 || documents[1].Label != "c" {
			t.Fatalf("%+v, error %v", documents, err)
		}
		d := documents[1]
		if d.SHA256 != sha256.Sum256([]byte("x z\n\ny")) || d.Bytes != 6 || d.Sentences != 3 || d.Tokens != 3 || d.NGrams != 6+2+4 || !d.TextKept || d.Weight != 1 {
			t.Errorf("%+v", d)
		}

		outcomes, err = receive(t, s, "m", ngram.Settings{}, source("a", "x y\n"), source("c", "x z\n\ny"))
		if diff := cmp.Diff([]ngram.Outcome{ngram.OutcomeUnchanged, ngram.OutcomeUnchanged}, outcomes); err != nil || diff != "" {
			t.Error(err, diff)
		}
		refused := map[string]struct {
			source store.Source
			kind   errors.Kind
			reason string
			says   []string
		}{
			"other text":      {source("a", "x y z\n"), errors.FailedPrecondition, "DOCUMENT_DIFFERS", []string{`"a"`}},
			"other weight":    {store.Source{Label: "a", Text: strings.NewReader("x y\n"), Weight: 2}, errors.FailedPrecondition, "DOCUMENT_DIFFERS", []string{"weight 1, not 2"}},
			"long token":      {source("long", "ok\nab "+strings.Repeat("w", 1025)+"\n"), errors.InvalidArgument, "TOKEN_TOO_LONG", []string{`"long"`, "offset 6", "1025"}},
			"control token":   {source("mark", "ok\nx </s> y\n"), errors.InvalidArgument, "TOKEN_RESERVED", []string{`"mark"`, "offset 5", "</s>", "--unk literal"}},
			"not UTF-8":       {source("latin", "ol\xe9\n"), errors.InvalidArgument, "INVALID_ENCODING", []string{"latin", "offset 2"}},
			"changed on way":  {store.Source{Label: "way", Text: strings.NewReader("x"), SHA256: func() []byte { return make([]byte, 32) }}, errors.InvalidArgument, "CONTENT_HASH_DIFFERS", []string{`"way"`}},
			"no label":        {source("", "x"), errors.InvalidArgument, "LABEL_INVALID", nil},
			"too great":       {store.Source{Label: "w", Text: strings.NewReader("x"), Weight: 1000001}, errors.InvalidArgument, "WEIGHT_INVALID", []string{"1000000"}},
			"broken off":      {store.Source{Label: "off", Text: &broken{text: strings.Repeat("word ", 1000)}}, errors.Canceled, "", nil},
			"long and broken": {store.Source{Label: "spill", Text: &broken{text: incompressible(12 << 20)}}, errors.Canceled, "", nil},
		}
		for name, c := range refused {
			_, err := receive(t, s, "m", ngram.Settings{}, c.source)
			if errors.KindOf(err) != c.kind || errors.ReasonOf(err) != c.reason {
				t.Errorf("%s: error %v (%s)", name, err, errors.ReasonOf(err))
			}
			for _, part := range c.says {
				if !strings.Contains(errors.Public(err), part) {
					t.Errorf("%s: %q does not say %q", name, errors.Public(err), part)
				}
			}
			if diff := cmp.Diff(want, read(t, db, "m", 0)); diff != "" {
				t.Errorf("%s changed the model: %s", name, diff)
			}
			var texts, rows int64
			if err := db.QueryRow(t.Context(), `SELECT COUNT(*) FROM tbl_corpus_text`).Scan(&texts); err != nil {
				t.Fatal(err)
			}
			if err := db.QueryRow(t.Context(), `SELECT COUNT(*) FROM tbl_corpus`).Scan(&rows); err != nil {
				t.Fatal(err)
			}
			if texts != 2 || rows != 2 {
				t.Errorf("%s left %d documents and %d texts, want 2 and 2", name, rows, texts)
			}
		}
	})
}

// broken is a sender that goes away.
type broken struct{ text string }

func (b *broken) Read(p []byte) (int, error) {
	if b.text == "" {
		return 0, context.Canceled
	}
	n := copy(p, b.text)
	b.text = b.text[n:]
	return n, nil
}

// incompressible is text that does not get smaller, so that it does not wait in memory.
func incompressible(size int) string {
	var b strings.Builder
	state := uint64(1)
	for b.Len() < size {
		state = state*6364136223846793005 + 1442695040888963407
		for shift := 8; shift < 56; shift += 6 {
			b.WriteByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[state>>shift&63])
		}
		b.WriteString(" \n"[state>>60&1 : state>>60&1+1])
	}
	return b.String()
}

// Text larger than what waits in memory goes through the tables piece by piece, and gives the same counts.
func TestLongDocument(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		settings := ngram.Settings{Order: 1, Tokenizer: ngram.TokenizerBytes}
		long := incompressible(7 << 20)
		outcomes, err := receive(t, store.New(db, store.Options{}), "m", settings, source("long", long))
		if err != nil || outcomes[0] != ngram.OutcomeCounted {
			t.Fatal(outcomes, err)
		}
		model, err := store.New(db, store.Options{}).Model(t.Context(), tenant, "m")
		if err != nil {
			t.Fatal(err)
		}
		lines := int64(strings.Count(long, "\n"))
		if want := int64(len(long)) - lines; model.Tokens != want {
			t.Errorf("%d tokens, want %d", model.Tokens, want)
		}
		var pieces int64
		if err := db.QueryRow(t.Context(), `SELECT COUNT(*) FROM tbl_corpus_text`).Scan(&pieces); err != nil || pieces != 8 {
			t.Errorf("%d pieces, error %v", pieces, err)
		}
		if got := read(t, db, "m", 0).Grams["A"]; !strings.HasPrefix(got, "c ") {
			t.Errorf("A counts as %q", got)
		}
	})
}

func TestDropText(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, store.Options{})
		dropped := source("a", "x y\n")
		dropped.DropText = true
		if _, err := receive(t, s, "m", ngram.Settings{}, dropped); err != nil {
			t.Fatal(err)
		}
		var texts int64
		if err := db.QueryRow(t.Context(), `SELECT COUNT(*) FROM tbl_corpus_text`).Scan(&texts); err != nil || texts != 0 {
			t.Errorf("%d texts are left, error %v", texts, err)
		}
		if documents, err := s.Documents(t.Context(), tenant, "m", "", 1); err != nil || len(documents) != 1 || documents[0].TextKept {
			t.Errorf("%+v, error %v", documents, err)
		}
	})
}

// How text may be written does not matter where it should not.
func TestSameText(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, store.Options{})
		for _, tokenizer := range []ngram.Tokenizer{ngram.TokenizerWhitespace, ngram.TokenizerWords} {
			var want dump
			for i, text := range []string{"café au lait.\n", "cafe\u0301 au lait.\n", "\ufeffcafé au lait.\n", "café au lait.\r\n", "café au lait."} {
				name := string(tokenizer) + string(rune('0'+i))
				if _, err := receive(t, s, name, ngram.Settings{Tokenizer: tokenizer}, source("a", text)); err != nil {
					t.Fatal(err)
				}
				got := read(t, db, name, 0)
				if i == 0 {
					want = got
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s, %q: %s", tokenizer, text, diff)
				}
			}
		}
	})
}

func TestLiteralControlTokens(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, store.Options{})
		settings := ngram.Settings{Order: 2, Tokenizer: ngram.TokenizerWhitespace, UnkPolicy: ngram.UnkLiteral}
		build := train(t, s, "m", settings, ngram.BuildOptions{}, "a <unk> <s> </s>\n")
		got := read(t, db, "m", build.ID)
		for _, gram := range []string{"<unk>", "<s>", "</s>", "a <unk>", "<unk> <s>", "<s> </s>", "</s> </S>", "<UNK>", "</S>"} {
			if got.Grams[gram] == "" {
				t.Errorf("%q has no row", gram)
			}
		}
	})
}

func TestTokensAreBytes(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, store.Options{})
		settings := ngram.Settings{Order: 2, Tokenizer: ngram.TokenizerWhitespace}
		words := []string{"Foo", "foo", "résumé", "resume", "a", "a\u00a0", "a\u200b", "\\N", "\\", "'", "%", "日本語", strings.Repeat("x", ngram.MaxTokenBytes), strings.Repeat("x", ngram.MaxTokenBytes-1)}
		if _, err := receive(t, s, "m", settings, source("\\ 'label' %_\t\u00e9 ", strings.Join(words, "\n"))); err != nil {
			t.Fatal(err)
		}
		got := read(t, db, "m", 0)
		for _, word := range words {
			if got.Words[word] != "1" {
				t.Errorf("%q occurs %q times", word, got.Words[word])
			}
		}
		if documents, err := s.Documents(t.Context(), tenant, "m", "", 5); err != nil || documents[0].Label != "\\ 'label' %_\t\u00e9 " {
			t.Errorf("%+v, error %v", documents, err)
		}
	})
}

func TestCollisionIsRefusedByName(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, store.Options{Hash: contexthash.Narrow(5)})
		settings := ngram.Settings{Order: 2, Tokenizer: ngram.TokenizerWhitespace}
		var before dump
		for i := range 40 {
			word := string(bytes.Repeat([]byte{byte('a' + i%26)}, 1+i/26))
			_, err := receive(t, s, "m", settings, source(word, word+"\n"))
			if err == nil {
				before = read(t, db, "m", 0)
				continue
			}
			if errors.ReasonOf(err) != "CONTEXT_HASH_COLLISION" || !strings.Contains(errors.Public(err), "“"+word+"”") {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(before, read(t, db, "m", 0)); diff != "" {
				t.Errorf("something was counted: %s", diff)
			}
			return
		}
		t.Error("40 contexts in 5 bits: no collision")
	})
}

func TestCountOverflowIsRefused(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, store.Options{})
		settings := ngram.Settings{Order: 2, Tokenizer: ngram.TokenizerWhitespace}
		heavy := store.Source{Label: "a", Text: strings.NewReader(strings.Repeat("x ", 2148)), Weight: 1_000_000}
		if _, err := receive(t, s, "m", settings, heavy); errors.ReasonOf(err) != "COUNT_TOO_GREAT" {
			t.Errorf("error %v", err)
		}
		if got := read(t, db, "m", 0).Grams; len(got) != 0 {
			t.Errorf("something was counted: %v", got)
		}
	})
}

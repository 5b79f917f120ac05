package text

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/graphemes"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestContentWords(t *testing.T) {
	for _, c := range []struct{ lang, in, want string }{
		{"en", "What did John's dog and Mr. Brown discuss in 1999?", "john dog brown discuss 1999"},
		{"", "The soldiers' café isn't well-known; I'd say so.", "soldiers café"},
		{"en-GB", "Please remind me what we discussed about the MUSEUM. The museum!", "remind discussed museum museum"},
		{"de-AT", "Wann fährt der nächste Zug nach Wien ab?", "wann fährt nächste zug wien ab"},
		{"fr", "L'homme qu'il a vu est à Paris", "homme vu paris"},
		{"es", "¿Dónde está la biblioteca de la ciudad?", "biblioteca ciudad"},
		{"pt-BR", "Você sabe onde fica a estação?", "sabe fica estação"},
		{"xx", "the cat", "the cat"},
		{"", "東京タワーに行きたい。猫", "東京 京タ タワ ワー ーに に行 行き 猫"},
		{"", "我爱北京", "我爱 爱北 北京"},
		{"", "", ""},
		{"", "... !? -- $ 5", ""},
		{"", "bad \xff\xfe bytes", "bad bytes"},
	} {
		if diff := cmp.Diff(strings.Fields(c.want), strings.Fields(strings.Join(ContentWords(c.in, c.lang), " "))); diff != "" {
			t.Errorf("%s %q: %s", c.lang, c.in, diff)
		}
	}
}

func TestLanguages(t *testing.T) {
	for in, want := range map[string]string{
		"When did the war end?":            "",
		"Die Hard":                         "",
		"Die Hard, year":                   "",
		"Peru":                             "",
		"":                                 "",
		"War die Brücke offen?":            "de",
		"Was ist die Hauptstadt von Peru?": "de",
		"Hauptstadt von Peru":              "de",
		"l'heure d'ouverture du marché":    "fr",
		"¿Cuál es el horario de las bibliotecas?": "es",
		"Qual é a altura da torre?":               "pt",
		"capital de Peru":                         "es fr pt",
		"\xff und \xfe":                           "de",
	} {
		if got := strings.Join(Languages(in), " "); got != want {
			t.Errorf("%q is in %q, want %q", in, got, want)
		}
	}
}

// TestStopWordsAreTokens: a stop word that the tokeniser never gives would not stop anything.
func TestStopWordsAreTokens(t *testing.T) {
	for _, lang := range []string{"en", "de", "fr", "es", "pt"} {
		list := stopWords()[lang]
		if len(list) < 150 {
			t.Errorf("%s has %d stop words", lang, len(list))
		}
		for word := range list {
			after := " x"
			if strings.HasSuffix(word, "'") {
				after = "en" // an elision needs what it leans on: "qu'en"
			}
			if got := ContentWords(word+after, lang); len(got) > 0 {
				t.Errorf("%s: stop word %q gives %q", lang, word, got)
			}
		}
	}
}

func TestFoldKey(t *testing.T) {
	for in, want := range map[string]string{
		"":                      "",
		"  Café\tNOIR \n":       "cafe noir",
		"cafe\u0301 noir":       "cafe noir",
		"Straße":                "strasse",
		"Łódź, Ærø":             "lodz, aero",
		"ΟΔΟΣ":                  "οδοσ",
		"Οδός":                  "οδοσ",
		"Ёлка":                  "елка",
		"がぎ":                    "がぎ",
		"ｱﾊﾟｰﾄ":                 "アパート",
		"Ａ１":                    "a1",
		"हिन्दी":                "हिन्दी",
		"O’Brien":               "o'brien",
		"a\u200bb\u00adc\ufeff": "a bc",
		"x\x00y":                "x y",
		"bad\xff":               "bad\ufffd",
	} {
		if got := FoldKey(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := unicodeText().Draw(t, "text")
		once := FoldKey(s)
		if twice := FoldKey(once); twice != once {
			t.Fatalf("%q folds to %q and then to %q", s, once, twice)
		}
	})
}

func TestTruncate(t *testing.T) {
	for _, c := range []struct {
		in   string
		max  int
		want string
	}{
		{"hello", 5, "hello"},
		{"hello", 4, "hell"},
		{"hello", 0, ""},
		{"hello", -1, ""},
		{"", 3, ""},
		{"é", 1, ""},
		{"aé", 2, "a"},
		{"ae\u0301x", 3, "a"},
		{"ae\u0301x", 4, "ae\u0301"},
		{"a👩‍👩‍👧b", 10, "a"},
		{"👩‍👩‍👧", 5, "👩"},
		{"🇩🇪🇫🇷", 10, "🇩🇪"},
		{"a\r\n", 2, "a"},
		{"\xff\xfe\xfd", 2, "\xff\xfe"},
	} {
		if got := Truncate(c.in, c.max); got != c.want {
			t.Errorf("%q to %d: got %q, want %q", c.in, c.max, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Repeat(unicodeText().Draw(t, "text"), rapid.IntRange(1, 20).Draw(t, "times"))
		limit := rapid.IntRange(0, len(s)+1).Draw(t, "limit")
		got := Truncate(s, limit)
		if len(got) > limit && limit < len(s) || !strings.HasPrefix(s, got) || !utf8.ValidString(got) {
			t.Fatalf("%q to %d: %q", s, limit, got)
		}
		// The first character left out does not fit whole.
		rest := graphemes.FromString(s[len(got):])
		if rest.Next() && len(got) > 0 && len(got)+len(rest.Value()) <= limit {
			t.Fatalf("%q to %d: %q leaves out %q, which fits", s, limit, got, rest.Value())
		}
	})
}

func TestSentenceTexts(t *testing.T) {
	got := SentenceTexts("Hello  there. How\nare you?\xff\n\nfine")
	if diff := cmp.Diff([]string{"Hello there.", "How are you?", "fine"}, got); diff != "" {
		t.Error(diff)
	}
}

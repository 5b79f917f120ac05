package folding

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestText(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{" \t\n", ""},
		{"?!…", ""},
		{"The Capital of FRANCE?", " the capital of france "},
		{"France's capital", " france s capital "},
		{"France’s  capital", " france s capital "},
		{"Café NOIR", " cafe noir "},
		{"cafe\u0301", " cafe "},
		{"well-known", " well known "},
		{"C++ and C#", " c + + and c # "},
		{"100 % of $5_000", " 100 % of $ 5_000 "},
		{"首都はパリ", " 首 都 は パ リ "},
		{"a首b", " a 首 b "},
		{"😀😀", " 😀 😀 "},
		{"👍🏽", " 👍 "},
		{"co\u00adoperate", " cooperate "},
		{"ＦＵＬＬ", " full "},
		{"!%_", " % _ "},
	} {
		if got := Text(c.in); got != c.want {
			t.Errorf("Text(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestTextProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "text")
		folded := Text(s)
		if again := Text(folded); again != folded {
			t.Fatalf("folding %q gives %q, folding that %q", s, folded, again)
		}
		if folded != "" && (!strings.HasPrefix(folded, " ") || !strings.HasSuffix(folded, " ") || strings.Contains(folded, "  ")) {
			t.Fatalf("%q has its spaces in the wrong places", folded)
		}
		if strings.ContainsAny(folded, "!\x00") {
			t.Fatalf("%q holds an escape character or NUL", folded)
		}
		if want := " " + strings.Join(Words(folded), " ") + " "; folded != "" && want != folded {
			t.Fatalf("%q is not its words joined: %q", folded, want)
		}
	})
}

func TestPhraseIsFoundWithItsAnchor(t *testing.T) {
	word := rapid.StringMatching(`[a-cé首_%!🙂]{1,80}`)
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(word, 1, 8).Draw(t, "words")
		from := rapid.IntRange(0, len(words)-1).Draw(t, "from")
		to := rapid.IntRange(from+1, len(words)).Draw(t, "to")
		folded, phrase := Text(strings.Join(words, " ")), Text(strings.Join(words[from:to], " "))
		if phrase == "" {
			return
		}
		if !Contains(folded, phrase) {
			t.Fatalf("%q is not found in %q", phrase, folded)
		}
		anchor, index := Anchor(phrase), IndexWords(folded)
		if len(anchor) > maxIndexBytes || !utf8.ValidString(anchor) {
			t.Fatalf("anchor %q is too long or cut in a character", anchor)
		}
		found := false
		for _, w := range index {
			found = found || w == anchor
		}
		if !found {
			t.Fatalf("anchor %q of %q is not among %q", anchor, phrase, index)
		}
	})
}

func TestAnchor(t *testing.T) {
	for phrase, want := range map[string]string{
		"":                                  "",
		" the capital of france ":           "capital",
		" bb aa ":                           "aa",
		" " + strings.Repeat("é", 40) + " ": strings.Repeat("é", 32),
	} {
		if got := Anchor(phrase); got != want {
			t.Errorf("Anchor(%q) = %q, want %q", phrase, got, want)
		}
	}
}

func TestLikePattern(t *testing.T) {
	if got := LikePattern(" 50 % a_b ! "); got != " 50 !% a!_b !! " {
		t.Errorf("got %q", got)
	}
}

func TestIndexWords(t *testing.T) {
	if diff := cmp.Diff([]string{"a", "b", "c"}, IndexWords(Text("c b a, B"))); diff != "" {
		t.Error(diff)
	}
}

func FuzzText(f *testing.F) {
	f.Add("The Capital of FRANCE?")
	f.Add("\xff\x00首")
	f.Fuzz(func(t *testing.T, s string) {
		folded := Text(s)
		if !utf8.ValidString(folded) || Text(folded) != folded {
			t.Fatalf("Text(%q) = %q, again %q", s, folded, Text(folded))
		}
	})
}

package text

import (
	"strings"
	"testing"
)

func TestDetokenize(t *testing.T) {
	tokenizer := mustTokenizer(t, Words, "", NFC)
	// A form as a model has it: the most frequent surface of each token.
	form := func(token string, _ bool) string {
		return map[string]string{
			"andrew": "Andrew", "anna": "Anna", "i": "I", "iphone": "iPhone", "nato": "NATO", "$": " $", "citizen": "Citizen",
			"don't": "don’t", "—": "—", "-": "-", "/": "/", "&": " & ", "+": " + ", "%": "%", "l'": "l’", "'s": "’s", "👍": " 👍 ",
			"first": "first", "mr.": "Mr.", "#": " #",
		}[token]
	}
	for _, c := range []struct {
		name, tokens, want string
		form               Form
	}{
		{"capital and spaces", "the prince looked at andrew , and smiled .", "The prince looked at Andrew, and smiled.", form},
		{"no form", "the prince , you know ; yes : no ! ? …", "The prince, you know; yes: no!?…", nil},
		{"own capitals stay", "iphone and nato", "iPhone and NATO", form},
		{"quotes", "“ i don't know , ” said anna .", "“I don’t know,” said Anna.", form},
		{"speech after a colon", "he said : “ come here . ”", "He said: “Come here.”", form},
		{"speech after a comma", "he said , “ come here . ”", "He said, “Come here.”", form},
		{"speech that goes on", "“ well , ” he said , “ come here . ”", "“Well,” he said, “come here.”", form},
		{"speech from before", "no , ” he said , “ come here . ”", "No,” he said, “come here.”", form},
		{"speaker", "first citizen : before we go", "First Citizen: before we go", form},
		{"speaker by name", "anna : before we go", "Anna: Before we go", form},
		{"no speaker's name", "yes : ideas", "Yes: ideas", form},
		{"not a speaker", "there are two : one and two", "There are two: one and two", form},
		{"brackets", "yes ( or [ no ] ) { x } .", "Yes (or [no]) {x}.", form},
		{"clitics", "anna 's dogs ' food ; they 'd 've", "Anna’s dogs' food; they'd've", form},
		{"elision", "l' homme d' enghien", "L’homme d'enghien", form},
		{"abbreviation", "mr. anna is here .", "Mr. Anna is here.", form},
		{"hyphen and slash", "a well - known and / or fact", "A well-known and/or fact", form},
		{"dash as trained", "yes — no", "Yes—no", form},
		{"dash as trained with spaces", "yes — no", "Yes – no", func(token string, _ bool) string {
			return map[string]string{"—": " – "}[token]
		}},
		{"money", "it costs $ 5 , i . e . 3 % more", "It costs $5, I. e. 3% more", form},
		{"money without a form", "it costs $ 5 # 1 a & b", "It costs $5 #1 a & b", nil},
		{"symbols", "a & b + c", "A & b + c", form},
		{"emoji", "ok 👍 .", "Ok 👍.", form},
		{"inverted marks", "¿ qué ? ¡ sí !", "¿Qué? ¡sí!", nil},
		{"french quotes", "“ oui ” , dit - il", "« Oui », dit-il", func(token string, _ bool) string {
			return map[string]string{"“": "« ", "”": " »", "oui": "oui"}[token]
		}},
		{"chinese", "我 用 go 语 言 ， 好 。", "我用go语言，好。", nil},
		{"japanese", "「 東 京 」 へ 。", "「東京」へ。", nil},
		{"thai", "ส วั ส ดี bob", "สวัสดี bob", nil},
		{"clipped", "'tis so", "'Tis so", nil},
		{"number first", "2 dogs", "2 dogs", nil},
		{"full stop alone", ". a", ". A", nil},
		{"nothing", "", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := tokenizer.Detokenize(strings.Fields(c.tokens), c.form); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestJoinerStreamsSentences(t *testing.T) {
	tokenizer := mustTokenizer(t, Words, "", NFC)
	for _, c := range []struct {
		sentences []string
		want      string
	}{
		{[]string{"he came .", "“ why ? ” i ask ."}, "He came. “Why?” i ask."},
		{[]string{"你 好 。", "好 。"}, "你好。好。"},
		{[]string{"", "yes", "", "no"}, "Yes No"},
	} {
		j := tokenizer.Joiner(nil)
		var b strings.Builder
		for _, s := range c.sentences {
			for token := range strings.FieldsSeq(s) {
				b.WriteString(j.Add(token))
			}
			b.WriteString(j.EndSentence())
		}
		if b.String() != c.want {
			t.Errorf("got %q, want %q", b.String(), c.want)
		}
	}
}

// TestJoinerContinues: a joiner that was fed a prompt continues it in mid-sentence.
func TestJoinerContinues(t *testing.T) {
	tokenizer := mustTokenizer(t, Words, "", NFC)
	j := tokenizer.Joiner(nil)
	for token := range strings.FieldsSeq("he said : “") {
		j.Add(token)
	}
	if got := j.Add("yes") + j.Add(",") + j.Add("sir"); got != "Yes, sir" {
		t.Errorf("got %q", got)
	}
}

func TestIsSentenceEnd(t *testing.T) {
	for token, want := range map[string]bool{
		".": true, "?": true, "!": true, "…": true, "...": true, "?!": true, "。": true, "！": true, "？": true, "।": true, "؟": true,
		"": false, ",": false, "a.": false, "mr.": false, "”": false, "</s>": false,
	} {
		if got := IsSentenceEnd(token); got != want {
			t.Errorf("%q: %v", token, got)
		}
	}
}

package text

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dbslm/pkg/errors"
)

func TestWordsTokens(t *testing.T) {
	tokenizer := mustTokenizer(t, Words, "", NFC)
	for _, c := range []struct{ name, in, want string }{
		{"case and punctuation", "Speak, Marcius!", "speak , marcius !"},
		{"hyphen", "a well-known fact", "a well - known fact"},
		{"underscore and digits", "file_2 is 2nd", "file_2 is 2nd"},
		{"contraction", "I don't, can’t, ma'am", "i don't , can't , ma'am"},
		{"clitics", "Anna's and I’ll; they'd’ve", "anna 's and i 'll ; they 'd 've"},
		{"plural possessive", "the soldiers’ camp", "the soldiers ' camp"},
		{"clipped words", "'Tis the rock'n'roll of the '90s, goin’ o' him", "'tis the rock'n'roll of the '90s , goin' o' him"},
		{"elision", "L'homme d’Enghien, c'mon", "l' homme d' enghien , c'mon"},
		{"numbers", "3.14, 1,000 and 10:30", "3.14 , 1,000 and 10:30"},
		{"money and per cent", "$5 is 3%", "$ 5 is 3 %"},
		{"addresses", "See https://a.example/b?c=D. or www.x.org/y, me@b.example", "see https://a.example/b?c=d . or www.x.org/y , me@b.example"},
		{"initials and companies", "J. R. Smith of AT&T", "j. r. smith of at&t"},
		{"double quotes", `"Yes," he said`, "“ yes , ” he said"},
		{"single quotes", "'Yes,' he said", "‘ yes , ’ he said"},
		{"german quotes", "„Ja“, sagte er", "“ ja ” , sagte er"},
		{"french quotes", "« Oui », dit-il", "“ oui ” , dit - il"},
		{"swedish quotes", "”Ja”, sade han", "“ ja ” , sade han"},
		{"dashes", "a -- b, c - d, e — f, g–h", "a — b , c — d , e — f , g – h"},
		{"ellipses", "well... so… yes", "well … so … yes"},
		{"symbols", "C++ & D #1", "c + + & d # 1"},
		{"marks that do not compose", "x\u0323\u0331 y", "x\u0323\u0331 y"},
		{"decomposed", "cafe\u0301", "café"},
		{"soft hyphen and direction marks", "co\u00adop\u200e x", "coop x"},
		{"zero-width space", "ab\u200bcd", "ab cd"},
		{"no-break space", "10\u00a0km", "10 km"},
		{"controls and NUL", "a\x00b\x1bc", "a b c"},
		{"chinese", "我用Go语言。", "我 用 go 语 言 。"},
		{"japanese", "東京タワー", "東 京 タ ワ ー"},
		{"thai", "สวัสดี", "ส วั ส ดี"},
		{"korean", "안녕 하세요", "안녕 하세요"},
		{"hindi", "नमस्ते दुनिया।", "नमस्ते दुनिया ।"},
		{"arabic", "مرحبا، كيف؟", "مرحبا ، كيف ؟"},
		{"cyrillic", "Привет, Мир", "привет , мир"},
		{"emoji", "ok 👍🏽 👩‍👩‍👧 🇩🇪🇫🇷", "ok 👍🏽 👩‍👩‍👧 🇩🇪 🇫🇷"},
		{"keycap", "press 1️⃣ now", "press 1️⃣ now"},
		{"turkish i", "İstanbul ISPARTA", "istanbul isparta"},
		{"control words", "<s> and </s> <unk>", "< s > and < / s > < unk >"},
		{"lone joiner", "a \u200d b", "a b"},
		{"lone mark", " \u0301 b", "\u0301 b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff([]string{c.want}, shown(mustSplit(t, tokenizer, c.in))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWordsSurfaces(t *testing.T) {
	tokenizer := mustTokenizer(t, Words, "", NFC)
	for in, want := range map[string]string{
		"He SAID so":       "he=He^ said=SAID so",
		"don’t":            "don't=don’t^",
		"a - b":            "a^ —= -  b",
		"a—b":              "a^ — b",
		"— Oui !":          "—= —  oui=Oui^ !",
		"Oui\u00a0!":       "oui=Oui^ !=\u00a0!",
		"« Oui »":          "“=«  oui=Oui^ ”= »",
		"so ...":           "so^ …= ...",
		"costs $5":         "costs^ $= $ 5",
		"Ann: Hello Bob":   "ann=Ann^ : hello=Hello^ bob=Bob",
		`he said: "Go"`:    `he^ said : “=" go=Go^ ”="`,
		`he said, "Go"`:    `he^ said , “=" go=Go^ ”="`,
		`Go," he, "on"`:    `go=Go^ , ”=" he , “=" on ”="`,
		"co\u00adOP":       "coop=coOP^",
		"verse\nBegins":    "verse^ begins=Begins^",
		"a &\nb":           "a^ &= &  b^",
		"(\"Yes\" - no.)":  `( “=" yes=Yes^ ”=" —= -  no . )`,
		"the ‘tis \u2018x": "the^ 'tis=‘tis ‘ x",
	} {
		var b strings.Builder
		for _, s := range mustSplit(t, tokenizer, in) {
			for _, token := range s.Tokens {
				if b.Len() > 0 {
					b.WriteByte(' ')
				}
				b.Write(token.Text)
				if token.Surface != nil {
					fmt.Fprintf(&b, "=%s", token.Surface)
				}
				if token.Initial {
					b.WriteByte('^')
				}
			}
		}
		if b.String() != want {
			t.Errorf("%q\ngot  %q\nwant %q", in, b.String(), want)
		}
	}
}

func TestSentenceBoundaries(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"plain", "One. Two! Three? Four", []string{"One.", "Two!", "Three?", "Four"}},
		{"titles", "Mr. A. Smith met Dr. Jones on St. Anne's Street. He left.", []string{"Mr. A. Smith met Dr. Jones on St. Anne's Street.", "He left."}},
		{"e.g.", "Fruit, e.g. Apples, i.e. food. Good.", []string{"Fruit, e.g. Apples, i.e. food.", "Good."}},
		{"may end", "Pens, paper, etc. He paid. Pens etc. and ink. The U.S. Army. At 5 p.m. The end.", []string{"Pens, paper, etc.", "He paid.", "Pens etc. and ink.", "The U.S. Army.", "At 5 p.m.", "The end."}},
		{"numbers", "It is 3.5 m. No. 5 is 1.000 long. In 1805. The", []string{"It is 3.5 m.", "No. 5 is 1.000 long.", "In 1805.", "The"}},
		{"no", "No. He said no. Then", []string{"No.", "He said no.", "Then"}},
		{"pronoun", "So do I. He too.", []string{"So do I.", "He too."}},
		{"closers", "“Go.” He (Bob.) [Yes.] 'No.' Then.", []string{"“Go.”", "He (Bob.)", "[Yes.]", "'No.'", "Then."}},
		{"speech goes on", "“What?” he asked. “Go!” said she.", []string{"“What?” he asked.", "“Go!” said she."}},
		{"several marks", "What?! No!!! So... Yes.", []string{"What?!", "No!!!", "So...", "Yes."}},
		{"ellipsis goes on", "Well... yes. I... I know.", []string{"Well... yes.", "I... I know."}},
		{"no capitals", "hello there. how are you? fine", []string{"hello there.", "how are you?", "fine"}},
		{"forgotten space", "at the end.Then more. Use Node.JS now.", []string{"at the end.", "Then more.", "Use Node.JS now."}},
		{"chinese", "你好。他说：“走吧！”好。", []string{"你好。", "他说：“走吧！”", "好。"}},
		{"japanese", "「行く？」と言った。はい！", []string{"「行く？」", "と言った。", "はい！"}},
		{"hindi", "यह है। वह भी।", []string{"यह है।", "वह भी।"}},
		{"spanish", "Hola. ¿Qué tal? ¡Bien!", []string{"Hola.", "¿Qué tal?", "¡Bien!"}},
		{"unwrapped", "One line\nand the next.\n\nA heading\n\nText", []string{"One line and the next.", "A heading", "Text"}},
		{"blank line with spaces", "One\n \t\nTwo", []string{"One", "Two"}},
		{"crlf", "One\r\ntwo\r\n\r\nThree", []string{"One two", "Three"}},
		{"lone cr", "One\rtwo\r\rThree", []string{"One two", "Three"}},
		{"unicode line ends", "One\u2028two\u2029Three\u0085\u0085Four", []string{"One two", "Three", "Four"}},
		{"dialogue", "Anna: Hi there\nBen: Hello\nFirst Citizen:\nBefore we go", []string{"Anna: Hi there", "Ben: Hello", "First Citizen: Before we go"}},
		{"dashed speech", "— Hello, he said\n— Yes\n— No. — Why?", []string{"— Hello, he said", "— Yes", "— No.", "— Why?"}},
		{"list", "Buy:\n- milk\n* eggs\n1. bread\n2) tea\n# Later", []string{"Buy:", "- milk", "* eggs", "1. bread", "2) tea", "# Later"}},
		{"wrapped dash", "a word —\nand then - so\n– on", []string{"a word — and then - so – on"}},
		{"footnote mark", "“Charming!” * he said.", []string{"“Charming!” * he said."}},
		{"german", "Am 3. Mai kam z.B. Hr. Meier. Dann ging er.", []string{"Am 3.", "Mai kam z.B. Hr. Meier.", "Dann ging er."}},
		{"much space", "One" + strings.Repeat(" ", maxSpaceBytes) + "two", []string{"One", "two"}},
		{"empty", "", nil},
		{"only space", " \n\t\r\n ", nil},
		{"only byte order mark", "\ufeff", nil},
		{"byte order mark", "\ufeffOne. Two\ufeff.", []string{"One.", "Two."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := SentenceTexts(c.in)
			for i := range got {
				got[i] = strings.ReplaceAll(got[i], "\ufeff", "")
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSeparateLines(t *testing.T) {
	tokenizer := mustTokenizer(t, Words, `{"lines":"separate"}`, NFC)
	got := shown(mustSplit(t, tokenizer, "buy milk\ncall Anna. then\r\n\nrest"))
	want := []string{"buy milk", "call anna .", "then", "rest"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, want := tokenizer.Parameters(), `{"lines":"separate"}`; got != want {
		t.Errorf("parameters %s, want %s", got, want)
	}
}

func TestNewTokenizerRefuses(t *testing.T) {
	for _, c := range []struct{ kind, parameters, normalization, want string }{
		{"bpe", "", "", `there is no tokeniser "bpe"; choose words, whitespace or bytes`},
		{"", "", "", `there is no tokeniser ""; choose words, whitespace or bytes`},
		{"words", "", "nfd", `there is no normalisation "nfd"; choose nfc, nfkc or none`},
		{"words", "{", "", `tokeniser words cannot use the parameters {; it takes a JSON object like {"lines":"wrapped"}`},
		{"words", `{"lines":"x"}`, "", `tokeniser words: "lines" is "x"; choose "wrapped" (an empty line ends a paragraph) or "separate" (every line is one)`},
		{"words", `{"line":"wrapped"}`, "", `tokeniser words cannot use the parameters {"line":"wrapped"}; it takes a JSON object like {"lines":"wrapped"}`},
		{"words", `{} {}`, "", `tokeniser words cannot use the parameters {} {}; it takes a JSON object like {"lines":"wrapped"}`},
		{"bytes", `{"a":1}`, "", `tokeniser bytes cannot use the parameters {"a":1}; it takes a JSON object like {}`},
	} {
		_, err := NewTokenizer(c.kind, c.parameters, Normalization(c.normalization))
		if err == nil || errors.KindOf(err) != errors.InvalidArgument || errors.Public(err) != c.want {
			t.Errorf("%s %s %s: got %v, want %s", c.kind, c.parameters, c.normalization, err, c.want)
		}
	}
}

func TestParametersRoundTrip(t *testing.T) {
	for _, c := range []struct{ kind, parameters, want string }{
		{Words, "", `{"lines":"wrapped"}`},
		{Words, ` { "lines" : "separate" } `, `{"lines":"separate"}`},
		{Whitespace, "", "{}"},
		{Bytes, "{}", "{}"},
	} {
		tokenizer := mustTokenizer(t, c.kind, c.parameters, "")
		again := mustTokenizer(t, tokenizer.Kind(), tokenizer.Parameters(), "")
		if tokenizer.Parameters() != c.want || again.Parameters() != c.want || again.Kind() != c.kind {
			t.Errorf("%s %s: %s, %s", c.kind, c.parameters, tokenizer.Parameters(), again.Parameters())
		}
	}
}

package concept

import (
	"slices"
	"strings"
	"unicode"

	"dbslm/pkg/text"
)

// Why is a question why something was said.
type Why struct {
	// Reply is the index of the utterance that is asked about.
	Reply int
	// Words are those that are asked about, as the reply has them; the whole reply when none in particular are.
	Words string
	// Language that the question is in.
	Language string
}

// whyPhrases begin a question why something was said, and some have a word to end with, by language, folded and without punctuation.
// What stands between is what was said.
var whyPhrases = []struct{ language, phrase, ending string }{
	{"en", "why did you say", ""},
	{"en", "why do you say", ""},
	{"en", "why have you said", ""},
	{"en", "why would you say", ""},
	{"en", "why did you just say", ""},
	{"en", "why did you tell me", ""},
	{"en", "why did you answer", ""},
	{"en", "why did you reply", ""},
	{"en", "why are you saying", ""},
	{"en", "what made you say", ""},
	{"en", "what makes you say", ""},
	{"en", "how come you say", ""},
	{"en", "how come you said", ""},
	{"de", "warum sagst du", ""},
	{"de", "warum sagen sie", ""},
	{"de", "wieso sagst du", ""},
	{"de", "wieso sagen sie", ""},
	{"de", "warum hast du gesagt", ""},
	{"de", "warum haben sie gesagt", ""},
	{"de", "wieso hast du gesagt", ""},
	{"de", "wieso haben sie gesagt", ""},
	{"de", "warum hast du", "gesagt"},
	{"de", "warum haben sie", "gesagt"},
	{"de", "wieso hast du", "gesagt"},
	{"de", "wieso haben sie", "gesagt"},
	{"fr", "pourquoi as tu dit", ""},
	{"fr", "pourquoi avez vous dit", ""},
	{"fr", "pourquoi dis tu", ""},
	{"fr", "pourquoi dites vous", ""},
	{"fr", "pourquoi tu dis", ""},
	{"fr", "pourquoi tu as dit", ""},
	{"es", "por que has dicho", ""},
	{"es", "por que ha dicho", ""},
	{"es", "por que dijiste", ""},
	{"es", "por que dijo", ""},
	{"es", "por que dices", ""},
	{"es", "por que dice", ""},
	{"pt", "por que voce disse", ""},
	{"pt", "por que disseste", ""},
	{"pt", "porque disseste", ""},
	{"pt", "porque e que disseste", ""},
	{"pt", "por que voce diz", ""},
	{"pt", "por que dizes", ""},
	{"pt", "porque dizes", ""},
}

// whyFillers stand beside what was said and are no part of it.
var whyFillers = map[string][]string{
	"en": {"that", "this", "it", "so", "the word", "the words", "me", "now", "just now"},
	"de": {"das", "dies", "dass", "mir", "jetzt", "eben", "das wort"},
	"fr": {"cela", "ca", "que", "maintenant", "le mot"},
	"es": {"eso", "esto", "que", "ahora", "la palabra"},
	"pt": {"isso", "isto", "que", "agora", "a palavra"},
}

// AsksWhy finds out whether a text asks why something was said that stands in one of the replies, given oldest first; the newest one
// counts. A question about the words of no reply is none.
func AsksWhy(question string, replies []string) (Why, bool) {
	if len(question) > maxWhyBytes || len(replies) == 0 {
		return Why{}, false
	}
	asked := wordsOf(question)
	for _, p := range whyPhrases {
		phrase, ending := strings.Fields(p.phrase), strings.Fields(p.ending)
		rest := len(asked) - len(phrase) - len(ending)
		if rest < 0 || !same(asked[:len(phrase)], phrase) || !same(asked[len(asked)-len(ending):], ending) {
			continue
		}
		said := withoutFillers(asked[len(phrase):len(phrase)+rest], whyFillers[p.language])
		if len(said) == 0 {
			return Why{Reply: len(replies) - 1, Words: strings.TrimSpace(replies[len(replies)-1]), Language: p.language}, true
		}
		for i, reply := range slices.Backward(replies) {
			if at, end := within(wordsOf(reply), said); end > 0 {
				return Why{Reply: i, Words: reply[at:end], Language: p.language}, true
			}
		}
		return Why{}, false
	}
	return Why{}, false
}

// maxWhyBytes bounds a question that is looked at.
const maxWhyBytes = 2048

// word is a word of a text, folded, with the bytes where it stands.
type word struct {
	folded  string
	at, end int
}

// wordsOf are the runs of letters, marks and digits of a text.
func wordsOf(s string) (words []word) {
	begin := -1
	for i, r := range s + " " {
		inside := i < len(s) && (unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r))
		switch {
		case inside && begin < 0:
			begin = i
		case !inside && begin >= 0:
			words = append(words, word{text.FoldKey(s[begin:i]), begin, i})
			begin = -1
		}
	}
	return words
}

// withoutFillers takes fillers off both ends.
func withoutFillers(words []word, fillers []string) []word {
	for again := true; again; {
		again = false
		for _, filler := range fillers {
			parts := strings.Fields(filler)
			if n := len(parts); len(words) >= n {
				if same(words[:n], parts) {
					words, again = words[n:], true
				} else if same(words[len(words)-n:], parts) {
					words, again = words[:len(words)-n], true
				}
			}
		}
	}
	return words
}

func same(words []word, parts []string) bool {
	return slices.EqualFunc(words, parts, func(w word, s string) bool { return w.folded == s })
}

// within finds words one after the other in others; end is 0 when they are not there.
func within(in, words []word) (at, end int) {
	for i := 0; i+len(words) <= len(in); i++ {
		if slices.EqualFunc(in[i:i+len(words)], words, func(a, b word) bool { return a.folded == b.folded }) {
			return in[i].at, in[i+len(words)-1].end
		}
	}
	return 0, 0
}

package text

import (
	"embed"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

//go:embed stopwords/*.txt
var stopWordFiles embed.FS

// stopWords holds the words of each list that say little about what a text is about.
var stopWords = sync.OnceValue(func() map[string]map[string]bool {
	lists := make(map[string]map[string]bool)
	for _, lang := range []string{"en", "de", "fr", "es", "pt"} {
		data, err := stopWordFiles.ReadFile("stopwords/" + lang + ".txt")
		if err != nil { // the file is part of the binary
			continue
		}
		list := make(map[string]bool)
		for word := range strings.FieldsSeq(string(data)) {
			list[word] = true
		}
		lists[lang] = list
	}
	return lists
})

// ContentWords returns the words of s that carry its content, lower-cased, in order and as often as they
// occur; the caller counts them. Stop words, punctuation and single letters are left out, and the
// English possessive 's is cut off. Lang is a language code such as "en", "de-AT" or "pt-BR"; English,
// German, French, Spanish and Portuguese have a list of stop words, "" means English, and other
// languages keep every word. Chinese, Japanese and Thai text gives its overlapping pairs of characters,
// without pairs of hiragana only.
func ContentWords(s, lang string) []string {
	lang, _, _ = strings.Cut(strings.ToLower(strings.ReplaceAll(lang, "_", "-")), "-")
	if lang == "" {
		lang = "en"
	}
	return ContentWordsOf(s, lang)
}

// IsStopWord reports whether a word, lower-cased, says little in a language, given by its code of two letters.
func IsStopWord(word, lang string) bool { return stopWords()[lang][word] }

// englishWords are stop words of other languages that an English text may hold as words of its own, as "Die Hard" does.
var englishWords = sync.OnceValue(func() map[string]bool {
	data, err := stopWordFiles.ReadFile("stopwords/english-words.txt")
	set := make(map[string]bool)
	for word := range strings.FieldsSeq(string(data)) {
		set[word] = err == nil
	}
	return set
})

// halves is how many halves of a word a stop word counts in each language.
type halves [5]int8

var listed = [5]string{"en", "de", "es", "fr", "pt"}

// stopHalves holds every stop word once.
var stopHalves = sync.OnceValue(func() map[string]halves {
	all := make(map[string]halves)
	for i, lang := range listed {
		for word := range stopWords()[lang] {
			h := all[word]
			h[i] = 2
			if i > 0 && englishWords()[word] {
				h[i] = 1
			}
			all[word] = h
		}
	}
	return all
})

// Languages returns those of de, es, fr and pt of which s has stop words, sorted: more than of English, and no fewer than of another
// one, so Spanish and Portuguese may both be. One that is an English word too counts half, and half a word is none. An English
// text has no other language, nor has one without stop words.
func Languages(s string) (langs []string) {
	var found [5]int
	all := stopHalves()
	count := func(word string) {
		if h, ok := all[word]; ok {
			for i := range found {
				found[i] += int(h[i])
			}
		}
	}
	apart := func(r rune) bool { return r != '\'' && !unicode.IsLetter(r) && !unicode.IsMark(r) }
	for _, word := range strings.FieldsFunc(strings.ReplaceAll(strings.ToLower(s), "’", "'"), apart) {
		if elided, rest, ok := strings.Cut(word, "'"); ok && rest != "" {
			count(elided + "'")
			word = rest
		}
		count(word)
	}
	most := max(found[0]+1, 2)
	for i, lang := range listed {
		if i > 0 && found[i] > most {
			most, langs = found[i], nil
		}
		if i > 0 && found[i] == most {
			langs = append(langs, lang)
		}
	}
	return langs
}

// ContentWordsOf is ContentWords without the stop words of any of several languages, given by their codes of two letters.
func ContentWordsOf(s string, langs ...string) []string {
	var stop []map[string]bool
	for _, lang := range langs {
		if list := stopWords()[lang]; list != nil {
			stop = append(stop, list)
		}
	}
	t := plainWords()
	sentences, err := t.Split(strings.ToValidUTF8(s, " "))
	if err != nil {
		return nil
	}
	var out []string
	for _, sentence := range sentences {
		var previous Token
		joined := false // previous already stands in a pair
		flush := func() {
			if previous.Text != nil && !joined && !isHiragana(string(previous.Text)) {
				out = append(out, string(previous.Text))
			}
			previous, joined = Token{}, false
		}
		for _, token := range sentence.Tokens {
			r, _ := utf8.DecodeRune(token.Text)
			switch classOf(t.classes, r) & classMask {
			case classUnspaced:
				if previous.Text != nil && previous.Offset+int64(len(previous.Text)) == token.Offset {
					if pair := string(previous.Text) + string(token.Text); !isHiragana(pair) {
						out = append(out, pair)
						joined = true
					} else {
						joined = joined || isHiragana(string(token.Text))
					}
					previous = token
					continue
				}
				flush()
				previous = token
				continue
			case classWord:
				flush()
				if word := contentWord(string(token.Text), stop); word != "" {
					out = append(out, word)
				}
			default:
				flush()
			}
		}
		flush()
	}
	return out
}

// contentWord returns the word as it is counted, or "" for one that carries no content.
func contentWord(word string, stop []map[string]bool) string {
	stops := func(word string) bool {
		return slices.ContainsFunc(stop, func(list map[string]bool) bool { return list[word] })
	}
	if stops(word) {
		return ""
	}
	word = strings.TrimRight(strings.TrimSuffix(word, "'s"), ".'")
	if utf8.RuneCountInString(word) < 2 || stops(word) {
		return ""
	}
	return word
}

func isHiragana(s string) bool {
	for _, r := range s {
		if !unicode.Is(unicode.Hiragana, r) {
			return false
		}
	}
	return true
}

// plainWords is the words tokeniser with its defaults.
func plainWords() *words {
	return &words{parameters: wordsParameters{Lines: linesWrapped}, normalization: NFC, classes: classes()}
}

// SentenceTexts returns the sentences of s as they are written, with white space collapsed to single
// spaces. Bytes that are not UTF-8 count as white space.
func SentenceTexts(s string) []string {
	normal, err := Normalize(NFC, []byte(strings.ToValidUTF8(s, " ")))
	if err != nil {
		return nil
	}
	var out []string
	sentences, err := plainWords().Split(string(normal))
	if err != nil {
		return nil
	}
	for _, sentence := range sentences {
		out = append(out, strings.Join(strings.Fields(string(normal[sentence.Start:sentence.End])), " "))
	}
	return out
}

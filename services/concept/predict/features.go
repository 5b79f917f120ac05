package predict

import (
	"slices"
	"strings"

	"dbslm/pkg/text"

	"github.com/cespare/xxhash/v2"
)

const (
	// maxWords bounds the words of one utterance; a longer one is judged by its beginning.
	maxWords = 128
	// maxUtterance bounds, in bytes, what is looked at to find them.
	maxUtterance = 64 << 10
	// maxWord bounds a word, in bytes.
	maxWord = 256
	// maxLetters bounds the letters of a word that pieces are taken of.
	maxLetters = 32
	// minPiece and maxPiece are the lengths of pieces of words, with the marks of beginning and end.
	minPiece, maxPiece = 3, 5

	begin, end = "<s>", "</s>"
	gap        = "…" // stands for the word left out between two
	piece      = "|" // begins a piece of a word
)

// Features lists the features of an utterance, in order, each as often as it occurs: its folded words ("open"),
// pairs of neighbours ("<s> are", "are you"), pairs with a word between them ("are…open"), and pieces of words of
// three to five letters ("|^ope"). The marks hold signs that separate words, so that no word looks like one.
func Features(utterance string) []string {
	words := wordsOf(utterance)
	if len(words) == 0 {
		return nil
	}
	features := slices.Clone(words)
	padded := append(append([]string{begin}, words...), end)
	for i := 1; i < len(padded); i++ {
		features = append(features, padded[i-1]+" "+padded[i])
		if i > 1 {
			features = append(features, padded[i-2]+gap+padded[i])
		}
	}
	for _, w := range words {
		features = appendPieces(features, w)
	}
	return features
}

func appendPieces(features []string, word string) []string {
	letters := []rune("^" + word + "$")
	if len(letters) > maxLetters {
		letters = letters[:maxLetters]
	}
	for n := minPiece; n <= min(maxPiece, len(letters)-1); n++ {
		for i := 0; i+n <= len(letters); i++ {
			features = append(features, piece+string(letters[i:i+n]))
		}
	}
	return features
}

func wordsOf(utterance string) []string {
	if len(utterance) > maxUtterance {
		utterance = strings.ToValidUTF8(utterance[:maxUtterance], "")
	}
	words := strings.FieldsFunc(text.FoldKey(utterance), func(r rune) bool {
		return r == ' ' || strings.ContainsRune(".,;:!?()[]{}<>\"“”„«»…/\\|", r)
	})
	for i, w := range words {
		if len(w) > maxWord {
			w = strings.ToValidUTF8(w[:maxWord], "")
		}
		words[i] = strings.Trim(w, "'’‘-–—")
	}
	words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
	return words[:min(len(words), maxWords)]
}

func isPiece(feature string) bool { return strings.HasPrefix(feature, piece) }

// speaks reports whether a feature can speak for a concept alone, a pair of words without a mark or a word with content, and whether
// it holds a word with content.
func speaks(feature string) (alone, content bool) {
	if isPiece(feature) || strings.Contains(feature, gap) || strings.ContainsRune(feature, '<') {
		return false, false
	}
	content = len(text.ContentWords(feature, "")) > 0
	return content || strings.ContainsRune(feature, ' '), content
}

// Hash identifies a feature in tables; the empty string is the context without features.
func Hash(feature string) int64 { return int64(xxhash.Sum64String(feature)) }

// Package digest sums up what a person said, by counts: their most telling words and, of each turn, its most
// telling sentence. It never quotes the system's replies and is bounded whatever the window holds.
package digest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"dbslm/pkg/text"
)

const (
	// MaxBytes is the longest digest.
	MaxBytes = 600
	// maxTurns is how many turns it mentions.
	maxTurns = 4
	// maxQuote is the longest piece of one turn, in bytes.
	maxQuote = 110
	// maxTopics is how many words it names.
	maxTopics = 4
)

// Summarise returns the digest of a person's turns, oldest first; "" when they hold no content word. Language
// chooses the stop words; the connecting words are few and those of English, German or Portuguese.
func Summarise(turns []string, language string) string {
	counts := map[string]int{}
	first := map[string]int{}
	for _, turn := range turns {
		for _, w := range text.ContentWords(turn, language) {
			if _, ok := first[w]; !ok {
				first[w] = len(first)
			}
			counts[w]++
		}
	}
	if len(counts) == 0 {
		return ""
	}
	phrases := phrasesOf(language)
	var said []string
	for _, turn := range turns[max(0, len(turns)-maxTurns):] {
		if s := telling(turn, language, counts); s != "" && !slices.Contains(said, s) {
			said = append(said, s)
		}
	}
	var b strings.Builder
	for i, s := range said {
		lead := phrases.then
		if i == 0 {
			lead = phrases.first
		}
		piece := fmt.Sprintf(lead, s)
		if b.Len()+len(piece) > MaxBytes-100 {
			break
		}
		b.WriteString(piece)
	}
	if topics := topics(counts, first); len(turns) > 1 && len(topics) > 1 {
		b.WriteString(fmt.Sprintf(phrases.topics, strings.Join(topics, ", ")))
	} else {
		b.WriteString(".")
	}
	return text.Truncate(b.String(), MaxBytes)
}

// telling is the sentence of a turn whose content words are said most in the conversation; the first of equals.
func telling(turn, language string, counts map[string]int) string {
	best, bestScore := "", 0
	for _, s := range text.SentenceTexts(turn) {
		score := 0
		seen := map[string]bool{}
		for _, w := range text.ContentWords(s, language) {
			if !seen[w] {
				seen[w] = true
				score += counts[w]
			}
		}
		if score > bestScore {
			best, bestScore = s, score
		}
	}
	best = strings.TrimRight(strings.Join(strings.Fields(best), " "), ".!")
	if len(best) > maxQuote {
		best = strings.TrimRight(text.Truncate(best, maxQuote), " ,;:") + "…"
	}
	return best
}

// topics are the words said more than once, most frequent first, then in the order they came up.
func topics(counts, first map[string]int) []string {
	var words []string
	for w, n := range counts {
		if n > 1 {
			words = append(words, w)
		}
	}
	slices.SortFunc(words, func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(first[a], first[b]))
	})
	return words[:min(len(words), maxTopics)]
}

// phrases connect a digest in one language.
type phrases struct{ first, then, topics string }

func phrasesOf(language string) phrases {
	base, _, _ := strings.Cut(strings.ToLower(language), "-")
	switch base {
	case "de":
		return phrases{"Sie sagten „%s“", ", dann „%s“", "; immer wieder ging es um %s."}
	case "pt":
		return phrases{"disse “%s”", ", depois “%s”", "; voltou várias vezes a %s."}
	}
	return phrases{"you said “%s”", ", then “%s”", "; you came back to %s."}
}

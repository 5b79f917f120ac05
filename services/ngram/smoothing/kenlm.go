package smoothing

import (
	"slices"

	"dbslm/services/ngram"
)

// LastNGram finds the n-gram on which KenLM's counts of counts depend: the one that comes last in suffix order (greatest
// when token ids are compared from the last token to the first) over all windows of length N, every sentence being padded
// on the left with N-1 <s>. KenLM tallies the shorter n-grams that end it under their raw count. It is the order of the
// text that decides which n-gram that is, so this is for comparison with KenLM only.
type LastNGram struct {
	Order int
	best  []uint32
}

// Offer considers an n-gram of length Order, or a shorter one that begins with <s>. Others are ignored.
func (l *LastNGram) Offer(tokens []uint32) {
	if len(tokens) != l.Order && tokens[0] != ngram.SentenceStart {
		return
	}
	for back := 1; back <= l.Order && l.best != nil; back++ {
		mine := ngram.SentenceStart
		if back <= len(tokens) {
			mine = tokens[len(tokens)-back]
		}
		if best := l.best[l.Order-back]; mine != best {
			if mine < best {
				return
			}
			break
		}
	}
	padded := slices.Repeat([]uint32{ngram.SentenceStart}, l.Order-len(tokens))
	l.best = append(padded, tokens...)
}

// Suffixes returns the n-grams that KenLM tallies under their raw count: the last n tokens for every n below Order, as
// far as they hold at most one <s>.
func (l *LastNGram) Suffixes() [][]uint32 {
	var suffixes [][]uint32
	for n := 1; n < l.Order && n <= len(l.best); n++ {
		suffix := l.best[len(l.best)-n:]
		if n > 1 && suffix[1] == ngram.SentenceStart {
			break
		}
		suffixes = append(suffixes, suffix)
	}
	return suffixes
}

// Retally moves one n-gram from its adjusted to its raw count in the counts of counts of its order.
func Retally(counts *[4]int64, raw, adjusted int64) {
	if adjusted >= 1 && adjusted <= 4 {
		counts[adjusted-1]--
	}
	if raw >= 1 && raw <= 4 {
		counts[raw-1]++
	}
}

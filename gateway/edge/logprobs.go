package edge

import (
	"cmp"
	"math"
	"slices"
	"strings"

	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

const (
	// shownStage is the stage of decoding whose probabilities are told: everything that was asked for has had its effect, biases
	// and penalties among it, and neither temperature nor truncation has.
	shownStage = "penalty"
	// impossible is the logarithm of a probability of 0, as OpenAI's API writes it.
	impossible = -9999.0
)

// tokenLogprob is one token with its natural logarithm of probability.
type tokenLogprob struct {
	Token   string         `json:"token"`
	Logprob float64        `json:"logprob"`
	Bytes   []int          `json:"bytes"`
	Top     []tokenLogprob `json:"top_logprobs,omitempty"`
}

// textLogprobs are those of a completion's choice.
type textLogprobs struct {
	Tokens  []string             `json:"tokens"`
	Own     []float64            `json:"token_logprobs"`
	Top     []map[string]float64 `json:"top_logprobs"`
	Offsets []int                `json:"text_offset"`
}

// probe tells logprobs of tokens.
type probe struct {
	top   int
	stage int // index of shownStage; -1 while unknown
}

func newProbe(top int, stages []string) probe { return probe{top, slices.Index(stages, shownStage)} }

func (p probe) of(c *ngramv1.CandidateStages) float64 {
	if p.stage < 0 || p.stage >= len(c.Probabilities) || c.Probabilities[p.stage] <= 0 {
		return impossible
	}
	return math.Log(c.Probabilities[p.stage])
}

// tell gives the logprobs of the tokens of one piece of text. The tokens together spell the piece.
func (p probe) tell(piece string, tokens []*ngramv1.GeneratedToken) []tokenLogprob {
	told := make([]tokenLogprob, 0, len(tokens))
	for i, spelled := range spell(piece, tokens) {
		own := tokenLogprob{Token: spelled, Logprob: impossible, Bytes: bytesOf(spelled), Top: []tokenLogprob{}}
		for _, c := range tokens[i].Stages {
			if c.Token.GetId() == tokens[i].Token.GetId() {
				own.Logprob = p.of(c)
			}
			own.Top = append(own.Top, tokenLogprob{Token: c.Token.GetText(), Logprob: p.of(c), Bytes: bytesOf(c.Token.GetText())})
		}
		slices.SortStableFunc(own.Top, func(a, b tokenLogprob) int {
			return cmp.Or(cmp.Compare(b.Logprob, a.Logprob), strings.Compare(a.Token, b.Token))
		})
		own.Top = own.Top[:min(len(own.Top), p.top)]
		told = append(told, own)
	}
	return told
}

// spell divides a piece of text among its tokens: each has the text up to the end of its word as it was written, the last what
// is left. A token that says nothing, such as the end of a sentence, has none.
func spell(piece string, tokens []*ngramv1.GeneratedToken) []string {
	out := make([]string, len(tokens))
	last := -1
	for i, token := range tokens {
		word := token.Token.GetText()
		if at := foldIndex(piece, word); at >= 0 && word != "" {
			out[i], piece = piece[:at+len(word)], piece[at+len(word):]
			last = i
		}
	}
	if last < 0 {
		last = len(tokens) - 1
	}
	if last >= 0 {
		out[last] += piece
	}
	return out
}

// foldIndex is where a word begins in text, written in capitals or not; -1 where it does not.
func foldIndex(text, word string) int {
	for i := range text {
		if i+len(word) <= len(text) && strings.EqualFold(text[i:i+len(word)], word) {
			return i
		}
	}
	return -1
}

func bytesOf(s string) []int {
	out := make([]int, len(s))
	for i := range len(s) {
		out[i] = int(s[i])
	}
	return out
}

// add appends the logprobs of a piece that begins at that offset.
func (l *textLogprobs) add(told []tokenLogprob, offset int) {
	for _, t := range told {
		top := map[string]float64{}
		for _, c := range t.Top {
			top[c.Token] = c.Logprob
		}
		l.Tokens, l.Own = append(l.Tokens, t.Token), append(l.Own, t.Logprob)
		l.Top, l.Offsets = append(l.Top, top), append(l.Offsets, offset)
		offset += len([]rune(t.Token))
	}
}

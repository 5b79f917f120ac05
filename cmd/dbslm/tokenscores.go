package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

// tokenScore is the score of one token as it is printed.
type tokenScore struct {
	Token string  `json:"token"`
	Log10 float64 `json:"log10"`
	Order uint32  `json:"order"`
	OOV   bool    `json:"oov,omitempty"`
}

// sentenceScore is the score of one sentence as it is printed.
type sentenceScore struct {
	Log10  float64      `json:"log10"`
	OOV    uint64       `json:"oov"`
	Tokens []tokenScore `json:"tokens,omitempty"`
}

func scoreOf(s *ngramv1.SentenceScore) sentenceScore {
	score := sentenceScore{Log10: s.Log10Probability, OOV: s.Oov}
	for _, t := range s.Tokens {
		score.Tokens = append(score.Tokens, tokenScore{t.Token.GetText(), t.Log10Probability, t.MatchedOrder, t.Oov})
	}
	return score
}

// tokenPrinter prints sentences as they come: a table each, or a line of JSON each.
func (a *app) tokenPrinter(asJSON bool) func(*ngramv1.SentenceScore) error {
	encoder := json.NewEncoder(a.out)
	encoder.SetEscapeHTML(false)
	return func(s *ngramv1.SentenceScore) error {
		score := scoreOf(s)
		if asJSON {
			return encoder.Encode(score)
		}
		return a.printTokens(score.Tokens)
	}
}

// printTokens prints tokens as a table with an empty line behind it.
func (a *app) printTokens(tokens []tokenScore) error {
	t := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	for _, token := range tokens {
		found := fmt.Sprintf("%d-gram", token.Order)
		if token.OOV {
			found = "unknown"
		}
		fmt.Fprintf(t, "%s\t%.6f\t%s\n", printable(token.Token), token.Log10, found)
	}
	fmt.Fprintln(t)
	return t.Flush()
}

// printable keeps a token on its line and in its column.
func printable(token string) string {
	for _, r := range token {
		if r < ' ' || r == 0x7f {
			return fmt.Sprintf("%q", token)
		}
	}
	return token
}

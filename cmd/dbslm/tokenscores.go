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

	Explanation json.RawMessage `json:"explanation,omitempty"`
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
		score.Tokens = append(score.Tokens, tokenScore{t.Token.GetText(), t.Log10Probability, t.MatchedOrder, t.Oov, protoJSON(t.Explanation)})
	}
	return score
}

// tokenPrinter prints sentences as they come: tables, a line of JSON each, or the statements behind their tokens.
func (a *app) tokenPrinter(asJSON bool, explain explainFlags) func(*ngramv1.SentenceScore) error {
	encoder := json.NewEncoder(a.out)
	encoder.SetEscapeHTML(false)
	return func(s *ngramv1.SentenceScore) error {
		switch {
		case explain.sql:
			a.printTokenStatements(s)
			return nil
		case asJSON:
			return encoder.Encode(scoreOf(s))
		}
		return a.printSentence(s, true)
	}
}

// printTokenStatements prints the statements behind each token.
func (a *app) printTokenStatements(s *ngramv1.SentenceScore) {
	for _, token := range s.Tokens {
		printStatements(a.out, token.Token.GetText(), token.Explanation.GetStatements())
	}
}

// printSentence prints the tokens of a sentence, if they are wanted, and the rows behind them, if they are there.
func (a *app) printSentence(s *ngramv1.SentenceScore, tokens bool) error {
	if tokens {
		if err := a.printTokens(scoreOf(s).Tokens); err != nil {
			return err
		}
	}
	for _, token := range s.Tokens {
		if err := a.printExplanation(token.Explanation); err != nil {
			return err
		}
	}
	return nil
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

// Package scoring computes log10 probabilities of given tokens by plain back-off, sums them up to perplexities, and
// samples the places at which an evaluation checks its own arithmetic.
//
// It takes contexts that somebody else has read and returns values; the formulas are those of golden/README.md.
package scoring

import "dbslm/services/ngram/lookup"

// Record is the score of one token.
type Record struct {
	// Token is the id, lookup.Unknown for a token that the build does not know.
	Token uint32
	// Log10 is the base-ten logarithm of the probability of the token after its context.
	Log10 float64
	// Matched is the length of the n-gram that was found, the token included; 1 for an unknown token.
	Matched int
}

// OOV reports whether the token is unknown to the build.
func (r Record) OOV() bool { return r.Token == lookup.Unknown }

// Score returns the score of the token after the contexts, longest first, none of them empty; nil stands for a context
// that is not in the model. The backoff weights of the contexts in which the token is not found are added up from the
// longest to the shortest, then the stored value is added.
func Score(unigrams *lookup.Unigrams, contexts []*lookup.Context, token uint32) Record {
	backoff := 0.0
	for i, context := range contexts {
		if context == nil {
			continue
		}
		if value, found := context.Log10(token); found {
			return Record{Token: token, Log10: backoff + value, Matched: len(contexts) - i + 1}
		}
		backoff += context.LogBackoff
	}
	value, known := unigrams.Log10(token)
	if !known {
		token = lookup.Unknown
		value, _ = unigrams.Log10(token)
	}
	return Record{Token: token, Log10: backoff + value, Matched: 1}
}

// At returns what Score does for a token of which it is known how long the n-gram is that is found.
func At(unigrams *lookup.Unigrams, contexts []*lookup.Context, token uint32, matched int) Record {
	at := len(contexts) + 1 - matched
	if at < 0 || at > len(contexts) {
		return Score(unigrams, contexts, token)
	}
	backoff := 0.0
	for _, context := range contexts[:at] {
		if context != nil {
			backoff += context.LogBackoff
		}
	}
	value, found := 0.0, false
	if matched > 1 {
		value, found = contexts[at].Log10(token)
	} else {
		value, found = unigrams.Log10(token)
	}
	if !found {
		return Score(unigrams, contexts, token)
	}
	return Record{Token: token, Log10: backoff + value, Matched: matched}
}

// ContextAt returns the context of position i of a sentence that begins with <s>: the tokens before it, at most
// order-1, and none before an unknown token, which matches nothing. An empty context is nil.
func ContextAt(sentence []uint32, i, order int) []uint32 {
	begin := max(0, i-(order-1))
	for at := i - 1; at >= begin; at-- {
		if sentence[at] == lookup.Unknown {
			begin = at + 1
		}
	}
	return sentence[begin:i]
}

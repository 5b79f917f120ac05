package store

import (
	"context"

	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/scoring"
)

// batchTokens is how many tokens are scored with one look at the store, or at the caller's patience.
const batchTokens = 8192

// Score scores every token of the sentences behind the first, which is <s>, and calls visit for each in order: its sentence,
// its place in it, its context (valid until visit returns) and its record. Contexts are read for a few thousand tokens at a
// time, however long a sentence is.
func (v *View) Score(ctx context.Context, sentences [][]uint32, visit func(sentence, place int, context []uint32, record scoring.Record)) error {
	if v.table != nil {
		return v.scoreResident(ctx, sentences, visit)
	}
	type position struct{ sentence, place int }
	var contexts [][]uint32
	var positions []position
	flush := func() error {
		chains, err := v.Read(ctx, contexts)
		if err != nil {
			return err
		}
		for i, at := range positions {
			token := sentences[at.sentence][at.place+1]
			visit(at.sentence, at.place, contexts[i], scoring.Score(v.Unigrams, chains[i], token))
		}
		contexts, positions = contexts[:0], positions[:0]
		return nil
	}
	for i, sentence := range sentences {
		for place := range len(sentence) - 1 {
			contexts = append(contexts, scoring.ContextAt(sentence, place+1, v.Build.Order))
			positions = append(positions, position{i, place})
			if len(positions) == batchTokens {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	return flush()
}

func (v *View) scoreResident(ctx context.Context, sentences [][]uint32, visit func(sentence, place int, context []uint32, record scoring.Record)) error {
	scored := 0
	for i, sentence := range sentences {
		for place := range len(sentence) - 1 {
			if scored%batchTokens == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			scored++
			context := scoring.ContextAt(sentence, place+1, v.Build.Order)
			visit(i, place, context, v.scoreOne(context, sentence[place+1]))
		}
	}
	return nil
}

// scoreOne is scoring.Score on the resident table: the same sum in the same order.
func (v *View) scoreOne(context []uint32, token uint32) scoring.Record {
	backoff := 0.0
	for i := range context {
		order := len(context) - i + 1
		value, found := v.table.Log10(order, contexthash.Sum(context[i:]), token)
		if found {
			return scoring.Record{Token: token, Log10: backoff + value, Matched: order}
		}
		backoff += value
	}
	value, known := v.Unigrams.Log10(token)
	if !known {
		token = lookup.Unknown
		value, _ = v.Unigrams.Log10(token)
	}
	return scoring.Record{Token: token, Log10: backoff + value, Matched: 1}
}

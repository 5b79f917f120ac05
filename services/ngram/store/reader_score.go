package store

import (
	"context"
	"runtime"

	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/resident"
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

// ahead is how many tokens' places are sought before the first of them is scored: their waits for memory overlap.
const ahead = 16

// scoreResident scores on the resident table.
func (v *View) scoreResident(ctx context.Context, sentences [][]uint32, visit func(sentence, place int, context []uint32, record scoring.Record)) error {
	order := v.Build.Order
	places := make([]resident.Place, ahead*max(0, order-1))
	near := byte(0)
	for i, sentence := range sentences {
		for begin := 1; begin < len(sentence); begin += ahead {
			if begin%batchTokens == 1 && ctx.Err() != nil {
				return ctx.Err()
			}
			end := min(begin+ahead, len(sentence))
			room := places
			for at := begin; at < end; at++ {
				context := scoring.ContextAt(sentence, at, order)
				for j := range context {
					room[j] = v.table.Seek(len(context)-j+1, contexthash.Sum(context[j:]))
				}
				room = room[len(context):]
			}
			sought := places[:len(places)-len(room)]
			for _, place := range sought {
				near += v.table.Touch(place)
			}
			for at := begin; at < end; at++ {
				context := scoring.ContextAt(sentence, at, order)
				visit(i, at-1, context, v.scoreAt(sought[:len(context)], sentence[at]))
				sought = sought[len(context):]
			}
		}
	}
	runtime.KeepAlive(near)
	return nil
}

// scoreAt is scoring.Score on the places of the contexts, longest first: the same sum in the same order.
func (v *View) scoreAt(places []resident.Place, token uint32) scoring.Record {
	backoff := 0.0
	for i, place := range places {
		value, found := v.table.Log10(place, token)
		if found {
			return scoring.Record{Token: token, Log10: backoff + value, Matched: len(places) - i + 1}
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

package server

import (
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/decoding"
)

// generated describes the token that an event chose.
func (o opened) generated(event decoding.Event) *ngramv1.GeneratedToken {
	chosen := event.Chosen
	token := &ngramv1.GeneratedToken{
		Token:            o.token(chosen.Token),
		Log10Probability: chosen.Log10,
		Log10Drawn:       chosen.Drawn,
		MatchedOrder:     uint32(chosen.Matched),
		Candidates:       uint32(chosen.Candidates),
	}
	for _, staged := range chosen.Stages {
		token.Stages = append(token.Stages, &ngramv1.CandidateStages{
			Token:         o.token(staged.Token),
			MatchedOrder:  uint32(staged.Matched),
			ContextHash:   contexthash.Sum(chosen.Context[len(chosen.Context)-(staged.Matched-1):]),
			Probabilities: staged.Probabilities,
			Kept:          staged.Kept,
		})
	}
	if event.Replaced != nil {
		asked := o.biases[event.Replaced.Sequence]
		token.Replaced = &ngramv1.ReplacedTokens{
			Tokens: uint32(event.Replaced.Tokens), Bias: uint32(asked.index), Text: asked.GetText(), Source: asked.GetSource(),
		}
	}
	return token
}

// candidates describes the n best replies.
func candidates(ranked []decoding.Reply, n int) []*ngramv1.GenerateCandidate {
	var best []*ngramv1.GenerateCandidate
	for _, reply := range ranked[:min(n, len(ranked))] {
		candidate := &ngramv1.GenerateCandidate{
			Reason: reasons[reply.Events[len(reply.Events)-1].Reason], Seed: reply.Seed, Score: reply.Score,
			Log10Probability: reply.Log10, Index: uint32(reply.Index),
		}
		for _, event := range reply.Events {
			candidate.Text += event.Text
			if event.Chosen != nil {
				candidate.Tokens++
			}
		}
		best = append(best, candidate)
	}
	return best
}

package server

import (
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/decoding"
)

// generated describes the tokens that events chose. They stand side by side in memory.
func (o opened) generated(events []decoding.Event) []*ngramv1.GeneratedToken {
	chosen := 0
	for _, event := range events {
		if event.Chosen != nil {
			chosen++
		}
	}
	if chosen == 0 {
		return nil
	}
	room := make([]struct {
		generated ngramv1.GeneratedToken
		token     ngramv1.Token
	}, chosen)
	tokens := make([]*ngramv1.GeneratedToken, 0, chosen)
	for _, event := range events {
		if event.Chosen == nil {
			continue
		}
		at := &room[len(tokens)]
		at.generated.Token = &at.token
		o.describe(event, &at.generated)
		tokens = append(tokens, &at.generated)
	}
	return tokens
}

// describe fills in what an event chose.
func (o opened) describe(event decoding.Event, token *ngramv1.GeneratedToken) {
	chosen := event.Chosen
	describeIn(token.GetToken(), chosen.Token, o.spell(chosen.Token))
	token.Log10Probability = chosen.Log10
	token.Log10Drawn = chosen.Drawn
	token.MatchedOrder = uint32(chosen.Matched)
	token.Candidates = uint32(chosen.Candidates)
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
}

// candidates describes the n best replies.
func candidates(ranked []decoding.Reply, n int) []*ngramv1.GenerateCandidate {
	var best []*ngramv1.GenerateCandidate
	for _, reply := range ranked[:min(n, len(ranked))] {
		best = append(best, &ngramv1.GenerateCandidate{
			Reason: reasons[reply.Reason], Seed: reply.Seed, Score: reply.Score, Log10Probability: reply.Log10,
			Index: uint32(reply.Index), Text: reply.Text, Tokens: uint32(reply.Tokens),
		})
	}
	return best
}

package server

import (
	"context"
	"fmt"

	"dbslm/pkg/text"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/scoring"
)

// sentenceTokens is one sentence that waits to be scored: <s>, its tokens and </s>, and how the unknown ones were
// written.
type sentenceTokens struct {
	ids     []uint32
	unknown []string // in order
}

// prepare copies a sentence for scoring. The written form of unknown tokens is kept only when records are wanted.
func (o opened) prepare(sentence text.Sentence, records bool) sentenceTokens {
	ids := make([]uint32, 1, len(sentence.Tokens)+2)
	ids[0] = lookup.Start
	prepared := sentenceTokens{ids: append(o.ids(ids, sentence), lookup.End)}
	if records {
		for i, token := range sentence.Tokens {
			if prepared.ids[i+1] == lookup.Unknown {
				prepared.unknown = append(prepared.unknown, string(token.Text))
			}
		}
	}
	return prepared
}

// score scores every token of the sentences behind its <s> and calls visit for each in order, with its sentence, its place in
// it and its context.
func (o opened) score(ctx context.Context, sentences []sentenceTokens, visit func(sentence, place int, context []uint32, record scoring.Record)) error {
	ids := make([][]uint32, len(sentences))
	for i, sentence := range sentences {
		ids[i] = sentence.ids
	}
	return o.Score(ctx, ids, visit)
}

// records collects the scores of sentences for an answer.
type records struct {
	build     opened
	sentences []sentenceTokens
	scores    []*ngramv1.SentenceScore
	unknown   int // unknown tokens of the current sentence so far
	tokens    bool
}

func (o opened) newRecords(sentences []sentenceTokens, tokens bool) *records {
	r := &records{build: o, sentences: sentences, scores: make([]*ngramv1.SentenceScore, len(sentences)), tokens: tokens}
	for i := range r.scores {
		r.scores[i] = &ngramv1.SentenceScore{}
	}
	return r
}

func (r *records) add(sentence, place int, record scoring.Record) {
	score := r.scores[sentence]
	score.Log10Probability += record.Log10
	if record.OOV() {
		score.Oov++
	}
	if !r.tokens {
		return
	}
	if place == 0 {
		r.unknown = 0
	}
	token := r.build.token(record.Token)
	if record.OOV() {
		token = describe(lookup.Unknown, r.sentences[sentence].unknown[r.unknown])
		r.unknown++
	}
	score.Tokens = append(score.Tokens, &ngramv1.TokenScore{
		Token: token, Log10Probability: record.Log10, MatchedOrder: uint32(record.Matched), Oov: record.OOV(),
	})
}

// explain adds the rows behind each token to the records.
func (r *records) explain(ctx context.Context, x *explainer) error {
	for i, score := range r.scores {
		ids := r.sentences[i].ids
		for place, token := range score.GetTokens() {
			context := scoring.ContextAt(ids, place+1, r.build.Build.Order)
			var err error
			if token.Explanation, err = x.token(ctx, context, ids[place+1], token.GetLog10Probability()); err != nil {
				return err
			}
		}
	}
	return nil
}

// Score implements ngramv1.InferenceServiceServer.
func (s *Inference) Score(ctx context.Context, request *ngramv1.ScoreRequest) (*ngramv1.ScoreResponse, error) {
	build, err := s.open(ctx, request)
	if err != nil {
		return nil, err
	}
	response := &ngramv1.ScoreResponse{BuildId: uint32(build.Build.ID)}
	response.Scores, response.Explained, err = build.scoreExplained(ctx, request.GetTexts(), "texts", request.GetTokens(), request.GetExplain())
	if err != nil {
		return nil, err
	}
	return response, build.Verify(ctx)
}

// scoreExplained scores texts, and adds the rows behind each token where options ask for them.
func (o opened) scoreExplained(ctx context.Context, texts []string, field string, tokens bool, options *ngramv1.ExplainOptions) ([]*ngramv1.TextScore, *ngramv1.ExplanationSummary, error) {
	explainer, err := o.explainer(ctx, options)
	if err != nil {
		return nil, nil, err
	}
	scores, records, err := o.scoreTexts(ctx, texts, field, tokens || explainer != nil)
	if err != nil || explainer == nil {
		return scores, nil, err
	}
	if err := records.explain(ctx, explainer); err != nil {
		return nil, nil, err
	}
	summary, err := explainer.finish(ctx)
	return scores, summary, err
}

// scoreTexts scores texts; field names them in an error.
func (o opened) scoreTexts(ctx context.Context, texts []string, field string, tokens bool) ([]*ngramv1.TextScore, *records, error) {
	var sentences []sentenceTokens
	var owners []int // by sentence: its text
	scores := make([]*ngramv1.TextScore, len(texts))
	for i, written := range texts {
		scores[i] = &ngramv1.TextScore{}
		split, err := o.split(written, fmt.Sprintf("%s[%d]", field, i))
		if err != nil {
			return nil, nil, err
		}
		for _, sentence := range split {
			sentences, owners = append(sentences, o.prepare(sentence, tokens)), append(owners, i)
		}
	}
	records := o.newRecords(sentences, tokens)
	err := o.score(ctx, sentences, func(sentence, place int, _ []uint32, record scoring.Record) {
		records.add(sentence, place, record)
		scores[owners[sentence]].Tokens++
	})
	if err != nil {
		return nil, nil, err
	}
	for i, score := range records.scores {
		total := scores[owners[i]]
		total.Log10Probability += score.GetLog10Probability()
		total.Oov += score.GetOov()
		total.Sentences = append(total.Sentences, score)
	}
	return scores, records, nil
}

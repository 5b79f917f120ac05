package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"dbslm"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

// explain shows where two replies came from: the last one that level 3 filled from a correction, and the last
// one that level 1 wrote freely, word by word.
func explain(ctx context.Context, out io.Writer, system *dbslm.System, replies []*gatewayv1.RespondResponse) error {
	var corrected, free *gatewayv1.RespondResponse
	for _, reply := range replies {
		for _, segment := range reply.Trace.GetSegments() {
			if segment.Span == nil && len(segment.TokenIds) > 0 {
				free = reply
			}
			if slices.Contains(slices.Collect(maps.Values(segment.Span.GetSlotSources())), "correction") {
				corrected = reply
			}
		}
	}
	if corrected != nil {
		explainSpan(out, corrected)
	}
	if free == nil {
		return nil
	}
	return explainText(ctx, out, system, free)
}

func explainSpan(out io.Writer, reply *gatewayv1.RespondResponse) {
	fmt.Fprintf(out, "Where did %q come from?\n", reply.Message.Content)
	for _, segment := range reply.Trace.Segments {
		span := segment.Span
		fmt.Fprintf(out, "  concept %s (probability %.2f), template %s version %d\n",
			span.Concept, span.Probability, span.TemplateId, span.TemplateVersion)
		for _, slot := range slices.Sorted(maps.Keys(span.SlotSources)) {
			fmt.Fprintf(out, "    {%s} from: %s\n", slot, span.SlotSources[slot])
		}
	}
	for _, c := range reply.Trace.Corrections {
		fmt.Fprintf(out, "  correction %s version %d\n", c.Id, c.Version)
	}
	fmt.Fprintln(out)
}

// explainText asks the build that wrote the reply for every token again: its probability, the length of the
// n-gram that was found, and the row that holds it.
func explainText(ctx context.Context, out io.Writer, system *dbslm.System, reply *gatewayv1.RespondResponse) error {
	inference := ngramv1.NewInferenceServiceClient(system.Conn())
	build := reply.Trace.NgramBuildId
	scores, err := inference.Score(ctx, &ngramv1.ScoreRequest{
		Model: model, BuildId: build, Texts: []string{reply.Message.Content}, Tokens: true,
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Where did %q come from?\n", reply.Message.Content)
	fmt.Fprintf(out, "  model %s, build %d, seed %d; level 3 abstained: %s\n",
		model, build, reply.Trace.Seed, reply.Trace.Segments[0].Abstained)
	fmt.Fprintf(out, "  %-14s %5s %11s  %s\n", "token", "order", "probability", "context_hash")
	for _, sentence := range scores.Scores[0].Sentences {
		var context []string
		for _, token := range sentence.Tokens {
			row, err := find(ctx, inference, build, context, token)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "  %-14s %5d %11.6f  %d\n", token.Token.Text, row.MatchedOrder, row.Probability, row.ContextHash)
			context = append(context, token.Token.Text)
		}
	}
	fmt.Fprintln(out, "  Each line is a row; the most probable next token of a context is the SQL query")
	fmt.Fprintln(out, "  SELECT next_token_id FROM tbl_l1_ngram_probs WHERE context_hash = ? ORDER BY quantized_prob DESC LIMIT 1")
	return nil
}

// find returns the row of the token after the context.
func find(ctx context.Context, inference ngramv1.InferenceServiceClient, build uint32, context []string, token *ngramv1.TokenScore) (*ngramv1.Prediction, error) {
	predictions, err := inference.Predict(ctx, &ngramv1.PredictRequest{
		Model: model, BuildId: build, Context: strings.Join(context, " "), TopK: 1000,
	})
	if err != nil {
		return nil, err
	}
	for _, p := range predictions.Predictions {
		if p.Token.Id == token.Token.Id {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%q is not among the thousand likeliest tokens after %q", token.Token.Text, context)
}

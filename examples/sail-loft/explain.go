package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"dbslm"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

// explain shows where two replies came from: one that level 3 filled with a corrected value, and one that level 1
// wrote, if possible one that stands nowhere in the corpus.
func explain(ctx context.Context, out io.Writer, system *dbslm.System, replies []*gatewayv1.RespondResponse) error {
	corpus, err := readCorpus()
	if err != nil {
		return err
	}
	var corrected, free *gatewayv1.RespondResponse
	var quoted bool
	for _, reply := range replies {
		for _, segment := range reply.Trace.GetSegments() {
			if slices.Contains(slices.Collect(maps.Values(segment.GetSpan().GetSlotSources())), "correction") {
				corrected = reply
			}
			if stands := strings.Contains(corpus, reply.Message.Content); len(segment.TokenIds) > 0 && (free == nil || quoted || !stands) {
				free, quoted = reply, stands
			}
		}
	}
	if corrected != nil {
		if err := explainSpan(ctx, out, system, corrected); err != nil {
			return err
		}
	}
	if free == nil {
		return nil
	}
	return explainText(ctx, out, system, free, quoted)
}

func readCorpus() (string, error) {
	names, err := fs.Glob(files, "corpus/*.txt")
	var all strings.Builder
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return "", err
		}
		all.Write(text)
	}
	return all.String(), err
}

// explainSpan names the concept, the template and the source of every value.
func explainSpan(ctx context.Context, out io.Writer, system *dbslm.System, reply *gatewayv1.RespondResponse) error {
	fmt.Fprintf(out, "Where did this come from?  %s\n", reply.Message.Content)
	for _, segment := range reply.Trace.Segments {
		span := segment.Span
		concept, err := conceptv1.NewCatalogueServiceClient(system.Conn()).GetConcept(ctx, &conceptv1.GetConceptRequest{Bot: model, Name: span.Concept})
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "  concept %s, probability %.2f\n", span.Concept, span.Probability)
		for _, t := range concept.Templates {
			if t.TemplateId == span.TemplateId {
				fmt.Fprintf(out, "  template %q: %s\n", t.Name, t.Text)
			}
		}
		var values map[string]any
		if err := json.Unmarshal([]byte(span.PayloadJson), &values); err != nil {
			return err
		}
		for _, slot := range slices.Sorted(maps.Keys(span.SlotSources)) {
			fmt.Fprintf(out, "    %-18s %-6v from: %s\n", slot, values[slot], span.SlotSources[slot])
		}
	}
	fmt.Fprintln(out)
	return nil
}

// explainText asks the build that wrote the reply for every token again: its probability, the length of the
// n-gram that was found, and the row that holds it.
func explainText(ctx context.Context, out io.Writer, system *dbslm.System, reply *gatewayv1.RespondResponse, quoted bool) error {
	inference := ngramv1.NewInferenceServiceClient(system.Conn())
	build := reply.Trace.NgramBuildId
	scores, err := inference.Score(ctx, &ngramv1.ScoreRequest{
		Model: model, BuildId: build, Texts: []string{reply.Message.Content}, Tokens: true,
	})
	if err != nil {
		return err
	}
	stands := "it stands nowhere in the corpus"
	if quoted {
		stands = "it stands like this in the corpus"
	}
	fmt.Fprintf(out, "Where did this come from?  %s\n", reply.Message.Content)
	fmt.Fprintf(out, "  model %s, build %d, seed %d; %s\n", model, build, reply.Trace.Seed, stands)
	fmt.Fprintf(out, "  %-12s %12s %6s  %s\n", "token", "probability", "n-gram", "context_hash")
	var longest *ngramv1.Prediction
	for _, sentence := range scores.Scores[0].Sentences {
		var before []string
		for _, token := range sentence.Tokens {
			row, err := find(ctx, inference, build, before, token)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "  %-12s %12.6f %6d  %d\n", token.Token.Text, row.Probability, row.MatchedOrder, row.ContextHash)
			before = append(before, token.Token.Text)
			if longest == nil || row.MatchedOrder >= longest.MatchedOrder {
				longest = row
			}
		}
	}
	fmt.Fprintf(out, `
Each line is a row of level 1, which any SQL client can read. What else could have stood before the end:
  SELECT token, quantized_prob FROM tbl_l1_ngram_probs_by_model p
  JOIN tbl_l1_vocabulary v ON v.model_id = p.model_id AND v.token_id = p.next_token_id
  WHERE tenant = 'default' AND model = '%s' AND context_hash = %d ORDER BY quantized_prob DESC
`, model, longest.GetContextHash())
	return nil
}

// find returns the row of the token after the tokens before it.
func find(ctx context.Context, inference ngramv1.InferenceServiceClient, build uint32, before []string, token *ngramv1.TokenScore) (*ngramv1.Prediction, error) {
	predictions, err := inference.Predict(ctx, &ngramv1.PredictRequest{
		Model: model, BuildId: build, Context: strings.Join(before, " "), TopK: 1000,
	})
	if err != nil {
		return nil, err
	}
	for _, p := range predictions.Predictions {
		if p.Token.Id == token.Token.Id {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%q is not among the thousand likeliest tokens after %q", token.Token.Text, before)
}

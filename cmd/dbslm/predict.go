package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/cobra"
)

// prediction is one candidate as it is printed.
type prediction struct {
	Token       string          `json:"token"`
	ID          uint32          `json:"id"`
	Probability float64         `json:"probability"`
	Log10       float64         `json:"log10"`
	Order       uint32          `json:"order"`
	ContextHash int64           `json:"context_hash,string"`
	Raw         *uint64         `json:"count,omitempty"`
	Adjusted    *uint64         `json:"adjusted_count,omitempty"`
	Path        string          `json:"path"`
	Explanation json.RawMessage `json:"explanation,omitempty"`
}

// predictions are the answer as it is printed.
type predictions struct {
	Build       uint32          `json:"build"`
	Context     []string        `json:"context"`
	Predictions []prediction    `json:"predictions"`
	Explained   json.RawMessage `json:"explained,omitempty"`
}

func newPredict(a *app) *cobra.Command {
	request := &ngramv1.PredictRequest{}
	var explain explainFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "predict [TEXT...]",
		Short: "Print the likeliest next tokens after a text",
		Long: `Print the likeliest tokens after the last sentence of a text, with probability, length of the n-gram found, its
count, and how the model backed off to it. Without a text the beginning of a sentence is the context; "-" reads standard input.`,
		Example: `  dbslm predict the harbour is
  dbslm predict --top 3 --json "The harbour is"
  dbslm predict the harbour --top 2 --explain --documents
  dbslm predict the harbour --top 1 --sql > rows.sql`,
		RunE: func(cmd *cobra.Command, args []string) error {
			request.Context = strings.Join(args, " ")
			if len(args) == 1 && args[0] == "-" {
				read, err := io.ReadAll(io.LimitReader(interruptible(cmd.Context(), a.in), maxLine+1))
				if err != nil {
					return err
				}
				request.Context = string(read)
			}
			if len(request.Context) > maxLine {
				return usagef("the text is longer than 1 MiB; its last sentence is enough")
			}
			if request.TopK == 0 || request.TopK > 1000 {
				return usagef("--top must be from 1 to 1000, not %d", request.TopK)
			}
			request.Tenant, request.Explain = a.tenant, explain.options()
			return a.with(cmd.Context(), false, func(conn *connection) error {
				got, err := ngramv1.NewInferenceServiceClient(conn).Predict(cmd.Context(), request)
				if err != nil {
					return err
				}
				if explain.sql {
					for _, p := range got.Predictions {
						printStatements(a.out, p.Token.GetText(), p.Explanation.GetStatements())
					}
					printStatements(a.out, fmt.Sprintf("build %d", got.BuildId), got.Explained.GetStatements())
					return nil
				}
				if asJSON {
					return printJSON(a.out, summarisePredictions(got))
				}
				return a.printPredictions(got)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&request.Model, "model", "default", "`name` of the model")
	flags.Uint32Var(&request.BuildId, "build", 0, "`number` of the build; 0 is the published one")
	flags.Uint32Var(&request.TopK, "top", 10, "`number` of tokens, 1 to 1000")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	explain.register(flags)
	return cmd
}

func summarisePredictions(got *ngramv1.PredictResponse) predictions {
	out := predictions{Build: got.BuildId, Context: []string{}, Predictions: []prediction{}, Explained: protoJSON(got.Explained)}
	for _, token := range got.Context {
		out.Context = append(out.Context, token.Text)
	}
	for _, p := range got.Predictions {
		one := prediction{
			Token: p.Token.GetText(), ID: p.Token.GetId(), Probability: p.Probability, Log10: p.Log10Probability, Order: p.MatchedOrder,
			ContextHash: p.ContextHash, Path: p.BackoffPath, Explanation: protoJSON(p.Explanation),
		}
		if p.Count != nil {
			one.Raw, one.Adjusted = &p.Count.Raw, &p.Count.Adjusted
		}
		out.Predictions = append(out.Predictions, one)
	}
	return out
}

func (a *app) printPredictions(got *ngramv1.PredictResponse) error {
	rows := [][]string{{"TOKEN", "PROBABILITY", "LOG10", "ORDER", "COUNT", "PATH"}}
	for _, p := range got.Predictions {
		counted := "-"
		if p.Count != nil {
			counted = count(p.Count.Raw)
		}
		rows = append(rows, []string{
			printable(p.Token.GetText()), fmt.Sprintf("%.6g", p.Probability), fmt.Sprintf("%.6f", p.Log10Probability), fmt.Sprint(p.MatchedOrder), counted, p.BackoffPath,
		})
	}
	if err := table(a.out, rows); err != nil || got.Explained == nil {
		return err
	}
	fmt.Fprintln(a.out)
	for _, p := range got.Predictions {
		if err := a.printExplanation(p.Explanation); err != nil {
			return err
		}
	}
	a.printSummary(got.Explained)
	return nil
}

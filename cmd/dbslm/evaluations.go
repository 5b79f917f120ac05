package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/cobra"
)

// newEvaluations is the command about what eval stored.
func newEvaluations(a *app) *cobra.Command {
	var asJSON bool
	var digest string
	request := &ngramv1.ListEvaluationsRequest{}
	list := func(cmd *cobra.Command, _ []string) error {
		if digest != "" {
			sum, err := hex.DecodeString(digest)
			if err != nil || len(sum) != 32 {
				return usagef("--text-sha256 %q is not a SHA-256 in hexadecimal", digest)
			}
			request.TextSha256 = sum
		}
		if request.BuildId != 0 && request.Model == "" {
			return usagef("--build needs the --model it is of")
		}
		return a.with(cmd.Context(), false, func(conn *connection) error {
			return a.listEvaluations(cmd.Context(), conn, request, asJSON)
		})
	}
	listFlags := func(cmd *cobra.Command) *cobra.Command {
		flags := cmd.Flags()
		flags.StringVar(&request.Model, "model", "", "only those of the model of this `name`; otherwise those of all models")
		flags.Uint32Var(&request.BuildId, "build", 0, "only those of the build of this `number`")
		flags.StringVar(&digest, "text-sha256", "", "only those of the text with this `hash`, in hexadecimal")
		return cmd
	}
	cmd := listFlags(&cobra.Command{
		Use:   "evaluations",
		Short: "List, show and compare stored evaluations",
		Long: `Every dbslm eval stores its result with the build and the hash of the text. Results stay when the build is
dropped and go with the model.`,
		Example: `  dbslm evaluations
  dbslm evaluations --model harbour --json`,
		Args: noArgs,
		RunE: list,
	})
	cmd.PersistentFlags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(listFlags(&cobra.Command{
		Use:     "list",
		Short:   "List stored evaluations, newest first",
		Example: "  dbslm evaluations list --model harbour",
		Args:    noArgs,
		RunE:    list,
	}), newEvaluationsShow(a, &asJSON), newEvaluationsCompare(a, &asJSON), newEvaluationsDelete(a))
	return cmd
}

func (a *app) listEvaluations(ctx context.Context, conn *connection, request *ngramv1.ListEvaluationsRequest, asJSON bool) error {
	request.Tenant, request.PageSize, request.PageToken = a.tenant, 1000, ""
	client := ngramv1.NewEvaluationServiceClient(conn)
	found := []*evaluation{}
	for {
		page, err := client.ListEvaluations(ctx, request)
		if err != nil {
			return err
		}
		for _, e := range page.Evaluations {
			found = append(found, resultOf(e))
		}
		if request.PageToken = page.NextPageToken; request.PageToken == "" {
			break
		}
	}
	if asJSON {
		return printJSON(a.out, found)
	}
	if len(found) == 0 {
		fmt.Fprintln(a.out, "no evaluation is stored; make one with: dbslm eval FILE")
		return nil
	}
	rows := [][]string{{"EVALUATION", "CREATED", "MODEL", "BUILD", "TEXT", "TOKENS", "OOV", "PERPLEXITY", "WITHOUT OOV", "BITS/BYTE"}}
	for _, e := range found {
		rows = append(rows, append([]string{e.Evaluation, e.Created.Local().Format(time.DateTime), e.Model, fmt.Sprint(e.Build), oneLine(e.Text)}, e.figures()...))
	}
	return table(a.out, rows)
}

// figures are the cells that evaluations are compared by.
func (e *evaluation) figures() []string {
	return []string{
		count(e.Tokens), count(e.OOV), fmt.Sprintf("%.3f", e.PerplexityIncludingOOV), fmt.Sprintf("%.3f", e.PerplexityExcludingOOV), fmt.Sprintf("%.4f", e.BitsPerByte),
	}
}

func newEvaluationsShow(a *app, asJSON *bool) *cobra.Command {
	return &cobra.Command{
		Use:     "show EVALUATION",
		Short:   "Show a stored evaluation",
		Example: "  dbslm evaluations show 0193e4a1-0000-7000-8000-000000000001",
		Args:    oneArg("the evaluation's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				got, err := ngramv1.NewEvaluationServiceClient(conn).GetEvaluation(cmd.Context(), &ngramv1.GetEvaluationRequest{Tenant: a.tenant, EvaluationId: args[0]})
				if err != nil {
					return err
				}
				e := resultOf(got.Evaluation)
				if *asJSON {
					return printJSON(a.out, e)
				}
				return a.printEvaluation(e)
			})
		},
	}
}

// comparison is one evaluation beside the first as it is printed.
type comparison struct {
	evaluation
	SameText              bool   `json:"same_text"`
	SameTokens            bool   `json:"same_tokens"`
	RatioIncludingOOV     figure `json:"perplexity_ratio_including_oov"`
	RatioExcludingOOV     figure `json:"perplexity_ratio_excluding_oov"`
	BitsPerByteDifference figure `json:"bits_per_byte_difference"`
}

func newEvaluationsCompare(a *app, asJSON *bool) *cobra.Command {
	return &cobra.Command{
		Use:   "compare EVALUATION EVALUATION...",
		Short: "Compare stored evaluations with the first of them",
		Long: `Perplexities compare where the same text was cut into equally many tokens; bits per byte compare models of any
tokeniser on the same text. A difference below 0 % is better than the first.`,
		Example: "  dbslm evaluations compare 0193e4a1-0000-7000-8000-000000000001 0193e4a1-0000-7000-8000-000000000002",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 || len(args) > 32 {
				return usagef("compare takes 2 to 32 evaluations, not %d; see: %s --help", len(args), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				got, err := ngramv1.NewEvaluationServiceClient(conn).CompareEvaluations(cmd.Context(),
					&ngramv1.CompareEvaluationsRequest{Tenant: a.tenant, EvaluationIds: args})
				if err != nil {
					return err
				}
				return a.printComparisons(got.Comparisons, *asJSON)
			})
		},
	}
}

func (a *app) printComparisons(compared []*ngramv1.EvaluationComparison, asJSON bool) error {
	all := []comparison{}
	rows := [][]string{{"EVALUATION", "MODEL", "BUILD", "TOKENS", "OOV", "PERPLEXITY", "WITHOUT OOV", "BITS/BYTE", "AGAINST THE FIRST"}}
	for i, c := range compared {
		e := resultOf(c.Evaluation)
		all = append(all, comparison{*e, c.SameText, c.SameTokens, figure(c.PerplexityRatioIncludingOov), figure(c.PerplexityRatioExcludingOov), figure(c.BitsPerByteDifference)})
		against := ""
		switch {
		case i == 0:
		case !c.SameText:
			against = "another text"
		case !c.SameTokens:
			against = fmt.Sprintf("other tokens; bits per byte %+.4f", c.BitsPerByteDifference)
		default:
			against = fmt.Sprintf("perplexity %+.2f %%", 100*(c.PerplexityRatioIncludingOov-1))
		}
		rows = append(rows, append(append([]string{e.Evaluation, e.Model, fmt.Sprint(e.Build)}, e.figures()...), against))
	}
	if asJSON {
		return printJSON(a.out, all)
	}
	return table(a.out, rows)
}

func newEvaluationsDelete(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "delete EVALUATION",
		Short:   "Delete a stored evaluation",
		Example: "  dbslm evaluations delete 0193e4a1-0000-7000-8000-000000000001",
		Args:    oneArg("the evaluation's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				_, err := ngramv1.NewEvaluationServiceClient(conn).DeleteEvaluation(cmd.Context(),
					&ngramv1.DeleteEvaluationRequest{Tenant: a.tenant, EvaluationId: args[0]})
				if err == nil {
					fmt.Fprintf(a.out, "deleted evaluation %s\n", args[0])
				}
				return err
			})
		},
	}
}

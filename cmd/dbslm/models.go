package main

import (
	"context"
	"fmt"

	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/cobra"
)

// modelSummary is a model as it is printed.
type modelSummary struct {
	Name           string   `json:"name"`
	Order          uint32   `json:"order"`
	Tokenizer      string   `json:"tokenizer"`
	Normalization  string   `json:"normalization"`
	Unk            string   `json:"unk"`
	PublishedBuild uint32   `json:"published_build"`
	Stale          bool     `json:"stale"`
	Documents      uint64   `json:"documents"`
	Sentences      uint64   `json:"sentences"`
	Tokens         uint64   `json:"tokens"`
	Vocabulary     uint64   `json:"vocabulary"`
	NGrams         []uint64 `json:"ngrams"`
	TrainingBy     string   `json:"training_by,omitempty"`
}

func newModels(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "models [NAME]",
		Short:   "List models, or show one; make, rebuild or delete one",
		Example: "  dbslm models\n  dbslm models default --json\n  dbslm models create harbour --order 5\n  dbslm models rebuild harbour harbour-5 --order 5\n  dbslm models delete harbour",
		Args:    atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				models, err := a.readModels(cmd.Context(), conn, args)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(a.out, models)
				}
				if len(models) == 0 {
					fmt.Fprintf(a.out, "no models in %s; train one with: dbslm train PATH\n", conn.where)
					return nil
				}
				rows := [][]string{{"MODEL", "ORDER", "TOKENIZER", "DOCUMENTS", "TOKENS", "VOCABULARY", "BUILD", "STATE"}}
				for _, m := range models {
					rows = append(rows, []string{
						m.Name, fmt.Sprint(m.Order), m.Tokenizer, count(m.Documents), count(m.Tokens), count(m.Vocabulary),
						buildCell(m.PublishedBuild), m.state(),
					})
				}
				return table(a.out, rows)
			})
		},
	}
	cmd.PersistentFlags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(newModelsCreate(a, &asJSON), newModelsDelete(a, &asJSON), newModelsRebuild(a, &asJSON))
	return cmd
}

func buildCell(id uint32) string {
	if id == 0 {
		return "none"
	}
	return fmt.Sprint(id)
}

// state says in a few words whether the published build is up to date.
func (m modelSummary) state() string {
	switch {
	case m.TrainingBy != "":
		return "training by " + m.TrainingBy
	case m.PublishedBuild == 0:
		return "nothing published"
	case m.Stale:
		return "counts are newer than the build"
	default:
		return "up to date"
	}
}

func (a *app) readModels(ctx context.Context, conn *connection, names []string) ([]modelSummary, error) {
	client := ngramv1.NewModelServiceClient(conn)
	models := []modelSummary{}
	if len(names) == 1 {
		resp, err := client.GetModel(ctx, &ngramv1.GetModelRequest{Tenant: a.tenant, Model: names[0]})
		if err != nil {
			return nil, err
		}
		return append(models, summariseModel(resp.Model)), nil
	}
	for token := ""; ; {
		resp, err := client.ListModels(ctx, &ngramv1.ListModelsRequest{Tenant: a.tenant, PageSize: 1000, PageToken: token})
		if err != nil {
			return nil, err
		}
		for _, m := range resp.Models {
			models = append(models, summariseModel(m))
		}
		if token = resp.NextPageToken; token == "" {
			return models, nil
		}
	}
}

func summariseModel(m *ngramv1.Model) modelSummary {
	return modelSummary{
		Name:           m.Name,
		Order:          m.Settings.GetOrder(),
		Tokenizer:      nameOf(m.Settings.GetTokenizer(), tokenizers),
		Normalization:  nameOf(m.Settings.GetNormalization(), normalizations),
		Unk:            nameOf(m.Settings.GetUnkPolicy(), unkPolicies),
		PublishedBuild: m.PublishedBuildId,
		Stale:          m.Stale,
		Documents:      m.Documents,
		Sentences:      m.Sentences,
		Tokens:         m.Tokens,
		Vocabulary:     m.VocabularySize,
		NGrams:         m.NgramCounts,
		TrainingBy:     m.TrainingBy,
	}
}

package main

import (
	"encoding/hex"
	"fmt"
	"time"

	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/cobra"
)

// storedDocument is a document of a model as it is printed.
type storedDocument struct {
	Label     string    `json:"label"`
	ID        string    `json:"id"`
	SHA256    string    `json:"sha256"`
	Weight    uint32    `json:"weight"`
	Bytes     uint64    `json:"bytes"`
	Sentences uint64    `json:"sentences"`
	Tokens    uint64    `json:"tokens"`
	TextKept  bool      `json:"text_kept"`
	Created   time.Time `json:"created"`
}

func summariseDocument(d *ngramv1.Document) storedDocument {
	return storedDocument{
		Label: d.GetLabel(), ID: d.GetDocumentId(), SHA256: hex.EncodeToString(d.GetSha256()), Weight: d.GetWeight(), Bytes: d.GetSizeBytes(),
		Sentences: d.GetSentences(), Tokens: d.GetTokens(), TextKept: d.GetTextKept(), Created: d.GetCreateTime().AsTime(),
	}
}

func newDocuments(a *app) *cobra.Command {
	var model string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "documents",
		Short:   "List the documents of a model",
		Example: "  dbslm documents\n  dbslm documents --model harbour --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				documents := []storedDocument{}
				for token := ""; ; {
					resp, err := ngramv1.NewCorpusServiceClient(conn).ListDocuments(cmd.Context(), &ngramv1.ListDocumentsRequest{
						Tenant: a.tenant, Model: model, PageSize: 1000, PageToken: token,
					})
					if err != nil {
						return err
					}
					for _, d := range resp.Documents {
						documents = append(documents, summariseDocument(d))
					}
					if token = resp.NextPageToken; token == "" {
						break
					}
				}
				return a.printDocuments(model, documents, asJSON)
			})
		},
	}
	cmd.Flags().StringVar(&model, "model", "default", "`name` of the model")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) printDocuments(model string, documents []storedDocument, asJSON bool) error {
	if asJSON {
		return printJSON(a.out, documents)
	}
	if len(documents) == 0 {
		fmt.Fprintf(a.out, "model %q has no documents; add some with: dbslm train PATH --model %s\n", model, model)
		return nil
	}
	rows := [][]string{{"DOCUMENT", "WEIGHT", "BYTES", "SENTENCES", "TOKENS", "TEXT", "SHA-256"}}
	for _, d := range documents {
		kept := "kept"
		if !d.TextKept {
			kept = "not kept"
		}
		rows = append(rows, []string{oneLine(d.Label), count(d.Weight), count(d.Bytes), count(d.Sentences), count(d.Tokens), kept, d.SHA256[:16]})
	}
	return table(a.out, rows)
}

package main

import (
	"context"
	"fmt"
	"io"

	"dbslm"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
)

// register makes the bot what bot.yaml says, as `dbslm concepts apply` does. What is there already stays as it is.
func register(ctx context.Context, out io.Writer, system *dbslm.System) error {
	file, err := files.ReadFile("bot.yaml")
	if err != nil {
		return err
	}
	if _, err := conceptv1.NewBotServiceClient(system.Conn()).ApplyBot(ctx, &conceptv1.ApplyBotRequest{Bot: model, File: string(file)}); err != nil {
		return fmt.Errorf("bot.yaml: %w", err)
	}
	var concepts, templates int
	var examples uint64
	catalogue := conceptv1.NewCatalogueServiceClient(system.Conn())
	list, err := catalogue.ListConcepts(ctx, &conceptv1.ListConceptsRequest{Bot: model, PageSize: 1000})
	if err != nil {
		return err
	}
	for _, c := range list.Concepts {
		if c.BuiltIn {
			continue
		}
		full, err := catalogue.GetConcept(ctx, &conceptv1.GetConceptRequest{Bot: model, Name: c.Name})
		if err != nil {
			return err
		}
		concepts, templates, examples = concepts+1, templates+len(full.Templates), examples+full.Examples
	}
	fmt.Fprintf(out, "%d concepts with %d templates and %d examples\n\n", concepts, templates, examples)
	return nil
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"dbslm"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
)

// botFile is bot.json: the fields of dbslm.concept.v1 under their own names, with JSON where those hold JSON as
// text.
type botFile struct {
	Concepts []struct {
		Concept struct {
			Name           string          `json:"name"`
			Description    string          `json:"description"`
			MetadataSchema json.RawMessage `json:"metadata_schema"`
			StaticPayload  json.RawMessage `json:"static_payload"`
			Priority       int32           `json:"priority"`
		} `json:"concept"`
		Templates []struct {
			Name         string `json:"name"`
			LanguageCode string `json:"language_code"`
			Text         string `json:"text"`
		} `json:"templates"`
		Examples []string `json:"examples"`
	} `json:"concepts"`
}

// register stores the concepts with their templates and examples. What is there already stays as it is.
func register(ctx context.Context, out io.Writer, system *dbslm.System) error {
	raw, err := files.ReadFile("bot.json")
	if err != nil {
		return err
	}
	var bot botFile
	if err := json.Unmarshal(raw, &bot); err != nil {
		return fmt.Errorf("bot.json: %w", err)
	}
	catalogue := conceptv1.NewCatalogueServiceClient(system.Conn())
	var templates, examples int
	for _, c := range bot.Concepts {
		_, err := catalogue.PutConcept(ctx, &conceptv1.PutConceptRequest{Bot: model, Concept: &conceptv1.Concept{
			Name:           c.Concept.Name,
			Description:    c.Concept.Description,
			MetadataSchema: string(c.Concept.MetadataSchema),
			StaticPayload:  string(c.Concept.StaticPayload),
			Priority:       c.Concept.Priority,
		}})
		if err != nil {
			return fmt.Errorf("%s: %w", c.Concept.Name, err)
		}
		for _, t := range c.Templates {
			_, err := catalogue.PutTemplate(ctx, &conceptv1.PutTemplateRequest{Bot: model, Template: &conceptv1.Template{
				Concept: c.Concept.Name, Name: t.Name, LanguageCode: t.LanguageCode, Text: t.Text,
			}})
			if err != nil {
				return fmt.Errorf("%s, template %s %s: %w", c.Concept.Name, t.Name, t.LanguageCode, err)
			}
		}
		request := &conceptv1.AddExamplesRequest{Bot: model}
		for _, utterance := range c.Examples {
			request.Examples = append(request.Examples, &conceptv1.Example{Concept: c.Concept.Name, Utterance: utterance})
		}
		if _, err := catalogue.AddExamples(ctx, request); err != nil {
			return fmt.Errorf("%s: %w", c.Concept.Name, err)
		}
		templates, examples = templates+len(c.Templates), examples+len(c.Examples)
	}
	fmt.Fprintf(out, "%d concepts with %d templates and %d examples\n\n", len(bot.Concepts), templates, examples)
	return nil
}

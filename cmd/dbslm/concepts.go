package main

import (
	"context"
	"fmt"
	"strings"

	conceptv1 "dbslm/proto/dbslm/concept/v1"

	"github.com/spf13/cobra"
)

// conceptSummary is a concept as it is listed.
type conceptSummary struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Version     uint32 `json:"version"`
	Priority    int32  `json:"priority,omitempty"`
	Enabled     bool   `json:"enabled"`
	BuiltIn     bool   `json:"built_in,omitempty"`
	Provider    string `json:"provider,omitempty"`
}

func newConcepts(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "concepts",
		Short: "Keep the concepts of a bot: apply and export them as one file, look at them, measure and build what decides",
		Long:  "A bot is a named set of concepts: what it can say for certain, with templates and example utterances.\ndocs/bots.md describes the file that holds one.",
		Example: `  dbslm concepts apply bot.yaml --dry-run
  dbslm concepts apply bot.yaml
  dbslm concepts list
  dbslm concepts predict when are you open --explain`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConceptsApply(a), newConceptsExport(a), newConceptsList(a), newConceptsShow(a), newConceptsDelete(a), newConceptsHistory(a),
		newConceptsImport(a), newConceptsExamples(a), newConceptsLearn(a), newConceptsPredict(a), newConceptsEval(a),
		newConceptsBuild(a), newConceptsBuilds(a), newConceptsPublish(a), newConceptsRollback(a), newConceptsTest(a))
	return cmd
}

func botFlag(cmd *cobra.Command, bot *string) {
	cmd.Flags().StringVar(bot, "bot", "", "`name` of the bot (default \"default\")")
}

func newConceptsList(a *app) *cobra.Command {
	var bot string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the concepts of a bot, the built-in ones too",
		Example: "  dbslm concepts list --bot sail-loft\n  dbslm concepts list --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				list, err := a.readConcepts(cmd.Context(), conn, bot)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(a.out, list)
				}
				rows := [][]string{{"CONCEPT", "VERSION", "PRIORITY", "STATE", "DESCRIPTION"}}
				for _, c := range list {
					state := "enabled"
					if !c.Enabled {
						state = "disabled"
					}
					if c.BuiltIn {
						state += ", built in"
					}
					rows = append(rows, []string{c.Name, fmt.Sprint(c.Version), fmt.Sprint(c.Priority), state, oneLine(c.Description)})
				}
				return table(a.out, rows)
			})
		},
	}
	botFlag(cmd, &bot)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) readConcepts(ctx context.Context, conn *connection, bot string) ([]conceptSummary, error) {
	list := []conceptSummary{}
	client := conceptv1.NewCatalogueServiceClient(conn)
	for token := ""; ; {
		resp, err := client.ListConcepts(ctx, &conceptv1.ListConceptsRequest{Tenant: a.tenant, Bot: bot, PageSize: 500, PageToken: token})
		if err != nil {
			return nil, err
		}
		for _, c := range resp.Concepts {
			list = append(list, conceptSummary{c.Name, c.Description, c.Version, c.Priority, !c.Disabled, c.BuiltIn, c.ProviderAddress})
		}
		if token = resp.NextPageToken; token == "" {
			return list, nil
		}
	}
}

// templateSummary is a template as it is printed.
type templateSummary struct {
	Name     string   `json:"name"`
	Language string   `json:"language,omitempty"`
	Asks     string   `json:"asks,omitempty"`
	When     string   `json:"when,omitempty"`
	Tags     []string `json:"tags,omitempty"`
	Weight   float64  `json:"weight"`
	Version  uint32   `json:"version"`
	Text     string   `json:"text"`
}

func newConceptsShow(a *app) *cobra.Command {
	var bot string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show CONCEPT",
		Short:   "Show one concept: schema, values, slots that are read, templates, number of examples",
		Example: "  dbslm concepts show OpeningHours --bot sail-loft\n  dbslm concepts show ContextSummary --json",
		Args:    oneArg("the concept's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := conceptv1.NewCatalogueServiceClient(conn).GetConcept(cmd.Context(), &conceptv1.GetConceptRequest{Tenant: a.tenant, Bot: bot, Name: args[0]})
				if err != nil {
					return err
				}
				c := resp.Concept
				templates := []templateSummary{}
				for _, t := range resp.Templates {
					templates = append(templates, templateSummary{t.Name, t.LanguageCode, t.Asks, t.Condition, t.Tags, t.Weight, t.Version, t.Text})
				}
				slots := readSlots(c)
				if asJSON {
					return printJSON(a.out, struct {
						conceptSummary
						Schema    string            `json:"schema,omitempty"`
						Values    string            `json:"values,omitempty"`
						Slots     []slotSummary     `json:"slots,omitempty"`
						Templates []templateSummary `json:"templates"`
						Examples  uint64            `json:"examples"`
						CoolDown  uint32            `json:"cool_down,omitempty"`
					}{conceptSummary{c.Name, c.Description, c.Version, c.Priority, !c.Disabled, c.BuiltIn, c.ProviderAddress}, c.MetadataSchema, c.StaticPayload, slots, templates, resp.Examples, c.CoolDown})
				}
				rows := [][]string{
					{"concept", c.Name},
					{"description", oneLine(c.Description)},
					{"version", fmt.Sprint(c.Version)},
					{"priority", fmt.Sprint(c.Priority)},
					{"cool-down", plural(uint64(c.CoolDown), "reply", "replies")},
					{"enabled", fmt.Sprint(!c.Disabled)},
					{"schema", c.MetadataSchema},
					{"values", c.StaticPayload},
					{"provider", c.ProviderAddress},
					{"examples", count(resp.Examples)},
				}
				for _, s := range slots {
					rows = append(rows, []string{"slot " + s.Slot, s.how()})
				}
				for _, t := range templates {
					rows = append(rows, []string{"template " + strings.TrimPrefix(t.Language+"/"+t.Name, "/"), oneLine(t.Text)})
				}
				return table(a.out, rows)
			})
		},
	}
	botFlag(cmd, &bot)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newConceptsDelete(a *app) *cobra.Command {
	var bot string
	cmd := &cobra.Command{
		Use:     "delete CONCEPT",
		Short:   "Delete a concept with its templates and examples",
		Example: "  dbslm concepts delete OpeningHours --bot sail-loft",
		Args:    oneArg("the concept's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				_, err := conceptv1.NewCatalogueServiceClient(conn).DeleteConcept(cmd.Context(), &conceptv1.DeleteConceptRequest{Tenant: a.tenant, Bot: bot, Name: args[0]})
				if err == nil {
					fmt.Fprintf(a.out, "deleted concept %s with its templates and examples\n", args[0])
				}
				return err
			})
		},
	}
	botFlag(cmd, &bot)
	return cmd
}

package main

import (
	"fmt"

	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/cobra"
)

// banSummary is a ban as it is printed.
type banSummary struct {
	Text  string `json:"text"`
	Model string `json:"model,omitempty"` // empty: for all models
}

func newBans(a *app) *cobra.Command {
	var model string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "bans",
		Short:   "List, add and remove sequences that a model never says",
		Example: "  dbslm bans --model harbour\n  dbslm bans --json",
		Args:    knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := ngramv1.NewProfileServiceClient(conn).ListBans(cmd.Context(), &ngramv1.ListBansRequest{Tenant: a.tenant, Model: model})
				if err != nil {
					return err
				}
				bans := []banSummary{}
				rows := [][]string{{"BAN", "FOR"}}
				for _, b := range resp.Bans {
					bans = append(bans, banSummary{b.Text, b.Model})
					scope := b.Model
					if scope == "" {
						scope = "all models"
					}
					rows = append(rows, []string{oneLine(b.Text), scope})
				}
				switch {
				case asJSON:
					return printJSON(a.out, bans)
				case len(bans) == 0:
					fmt.Fprintln(a.out, "nothing is banned")
					return nil
				}
				return table(a.out, rows)
			})
		},
	}
	cmd.Flags().StringVar(&model, "model", "", "`name` of the model; empty lists what is for all models")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(newBansAdd(a), newBansRemove(a))
	return cmd
}

func newBansAdd(a *app) *cobra.Command {
	var model string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "add TEXT",
		Short:   "Ban a sequence of words",
		Example: "  dbslm bans add \"old harbour\" --model harbour\n  dbslm bans add damn",
		Args:    oneArg("the text"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				_, err := ngramv1.NewProfileServiceClient(conn).AddBan(cmd.Context(), &ngramv1.AddBanRequest{Tenant: a.tenant, Ban: &ngramv1.Ban{Text: args[0], Model: model}})
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(a.out, banSummary{Text: args[0], Model: model})
				}
				fmt.Fprintf(a.out, "banned %q\n", args[0])
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&model, "model", "", "`name` of the model; empty bans for all models")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newBansRemove(a *app) *cobra.Command {
	var model string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "remove TEXT",
		Short:   "Lift a ban",
		Example: "  dbslm bans remove \"old harbour\" --model harbour",
		Args:    oneArg("the text"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				_, err := ngramv1.NewProfileServiceClient(conn).RemoveBan(cmd.Context(), &ngramv1.RemoveBanRequest{Tenant: a.tenant, Ban: &ngramv1.Ban{Text: args[0], Model: model}})
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(a.out, banSummary{Text: args[0], Model: model})
				}
				fmt.Fprintf(a.out, "lifted the ban of %q\n", args[0])
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&model, "model", "", "`name` of the model; empty lifts a ban for all models")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

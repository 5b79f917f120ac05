package main

import (
	"context"
	"fmt"
	"time"

	memoryv1 "dbslm/proto/dbslm/memory/v1"

	"github.com/spf13/cobra"
)

// factSummary is a fact as it is printed.
type factSummary struct {
	ID           string     `json:"id"`
	Scope        string     `json:"scope"`
	Conversation string     `json:"conversation,omitempty"`
	User         string     `json:"user,omitempty"`
	Model        string     `json:"model,omitempty"`
	Entity       string     `json:"entity"`
	Attribute    string     `json:"attribute"`
	Value        string     `json:"value"`
	Created      time.Time  `json:"created"`
	Retired      *time.Time `json:"retired,omitempty"`
}

func summariseFact(f *memoryv1.Fact) factSummary {
	s := factSummary{
		ID: f.FactId, Scope: nameOf(f.Scope, scopes), Conversation: f.ConversationId, User: f.UserId, Model: f.Model,
		Entity: f.Entity, Attribute: f.Attribute, Value: f.Value, Created: f.CreateTime.AsTime(),
	}
	if f.RetireTime != nil {
		at := f.RetireTime.AsTime()
		s.Retired = &at
	}
	return s
}

func (s factSummary) state() string {
	if s.Retired != nil {
		return "retired"
	}
	return "holds"
}

func newRemember(a *app) *cobra.Command {
	var p scopeFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "remember ENTITY ATTRIBUTE VALUE",
		Short: "Tell a fact that concepts may use",
		Example: `  dbslm remember loft price "42 euros" --user ana
  dbslm remember "sail loft" "opening hours" "9 to 5" --model default`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 3 {
				return usagef("give entity, attribute and value; see: %s --help", cmd.CommandPath())
			}
			if len(args) > 3 {
				return noArgs(cmd, args[3:])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			scope, err := p.scope()
			if err != nil {
				return err
			}
			id, err := newRequestID()
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := memoryv1.NewFactServiceClient(conn).RememberFact(cmd.Context(), &memoryv1.RememberFactRequest{
					Tenant: a.tenant, RequestId: id, Scope: scope, ConversationId: p.conversation, UserId: p.user, Model: p.model,
					Entity: args[0], Attribute: args[1], Value: args[2],
				})
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(a.out, summariseFact(resp.Fact))
				}
				fmt.Fprintf(a.out, "remembered for this %s: %s / %s = %s (fact %s)\n", nameOf(resp.Fact.Scope, scopes), resp.Fact.Entity, resp.Fact.Attribute,
					oneLine(resp.Fact.Value), resp.Fact.FactId)
				return nil
			})
		},
	}
	p.flags(cmd, "it holds for")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newFacts(a *app) *cobra.Command {
	var conversation, user string
	var retired, asJSON bool
	cmd := &cobra.Command{
		Use:   "facts",
		Short: "List facts; retire one",
		Example: `  dbslm facts --user ana
  dbslm facts --conversation 0193e4a1-… --json
  dbslm facts retire 0193e4a1-…`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				list, err := a.readFacts(cmd.Context(), conn, conversation, user, retired)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(a.out, list)
				}
				if len(list) == 0 {
					fmt.Fprintln(a.out, "no facts; tell one with: dbslm remember ENTITY ATTRIBUTE VALUE")
					return nil
				}
				rows := [][]string{{"FACT", "SCOPE", "ENTITY", "ATTRIBUTE", "VALUE", "STATE"}}
				for _, f := range list {
					rows = append(rows, []string{f.ID, f.Scope, f.Entity, f.Attribute, oneLine(f.Value), f.state()})
				}
				return table(a.out, rows)
			})
		},
	}
	cmd.Flags().StringVar(&conversation, "conversation", "", "those that hold in the conversation with this `id`: its own and its person's")
	cmd.Flags().StringVar(&user, "user", "", "those of the person of this `name`")
	cmd.Flags().BoolVar(&retired, "all", false, "also those that no longer hold")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(newFactsRetire(a))
	return cmd
}

func newFactsRetire(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "retire ID",
		Short:   "End a fact; it stays readable",
		Example: "  dbslm facts retire 0193e4a1-…",
		Args:    oneArg("the fact's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := memoryv1.NewFactServiceClient(conn).RetireFact(cmd.Context(), &memoryv1.RetireFactRequest{Tenant: a.tenant, FactId: args[0]})
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(a.out, summariseFact(resp.Fact))
				}
				fmt.Fprintf(a.out, "retired: %s / %s = %s\n", resp.Fact.Entity, resp.Fact.Attribute, oneLine(resp.Fact.Value))
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) readFacts(ctx context.Context, conn *connection, conversation, user string, retired bool) ([]factSummary, error) {
	list := []factSummary{}
	client := memoryv1.NewFactServiceClient(conn)
	for token := ""; ; {
		resp, err := client.ListFacts(ctx, &memoryv1.ListFactsRequest{
			Tenant: a.tenant, ConversationId: conversation, UserId: user, IncludeRetired: retired, PageSize: 500, PageToken: token,
		})
		if err != nil {
			return nil, err
		}
		for _, f := range resp.Facts {
			list = append(list, summariseFact(f))
		}
		if token = resp.NextPageToken; token == "" {
			return list, nil
		}
	}
}

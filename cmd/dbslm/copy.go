package main

import (
	"context"
	"fmt"

	"dbslm"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/cobra"
)

// copyOptions are the flags of copy.
type copyOptions struct {
	from, to string
	json     bool
}

func newCopy(a *app) *cobra.Command {
	var o copyOptions
	cmd := &cobra.Command{
		Use:   "copy MODEL [NAME]",
		Short: "Copy a model under another name, or to another store",
		Long: `Copy a model with its documents, counts, settings and the build that serves. The copy is equal to the original in every
word, count and probability, and generates the same bytes. With --to-db it goes to another store, of another engine if
you like; without NAME it keeps its name there. The target appears whole or not at all: a copy that was interrupted
leaves nothing behind but rows that the store removes, and the same command begins anew.`,
		Example: `  dbslm copy default trial
  dbslm copy default --from-db var/dbslm --to-db mysql://dbslm:secret@db:3306/
  dbslm copy harbour harbour-2 --to-db backup/store --json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("the model's name is missing; see: %s --help", cmd.CommandPath())
			}
			return atMostOneArg(cmd, args[1:])
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.copy(cmd.Context(), args, o) },
	}
	cmd.Flags().StringVar(&o.from, "from-db", "", "`store` to copy from; empty is that of --db")
	cmd.Flags().StringVar(&o.to, "to-db", "", "`store` to copy to; an embedded one is made when missing; empty is that of --db")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func (a *app) copy(ctx context.Context, args []string, o copyOptions) error {
	source, target := args[0], args[len(args)-1]
	if !modelNames.MatchString(target) {
		return usagef("%q cannot name a model; use at most 128 letters, digits, '.', '_' and '-', beginning with a letter or digit", target)
	}
	if o.from == "" && o.to == "" {
		if len(args) == 1 {
			return usagef("the copy needs a name of its own, or another store with --to-db")
		}
		return a.with(ctx, false, func(conn *connection) error {
			resp, err := ngramv1.NewModelServiceClient(conn).CopyModel(ctx, &ngramv1.CopyModelRequest{Tenant: a.tenant, Model: source, Target: target})
			if err != nil {
				return err
			}
			return a.printCopy(source, conn.where, resp.Model, o)
		})
	}
	if a.server != "" {
		return usagef("--server and --from-db or --to-db exclude each other; a copy between stores needs both stores")
	}
	c := dbslm.ModelCopy{From: a.db, To: a.db, Tenant: a.tenant, Model: source, Target: target}
	if o.from != "" {
		c.From = o.from
	}
	if o.to != "" {
		c.To = o.to
	}
	bars := newProgress(a.streams)
	err := dbslm.CopyModel(ctx, c, func(table string, rows int64) { bars.set("copying "+table, uint64(rows), 0, false) })
	bars.close()
	if err != nil {
		return err
	}
	there := *a
	there.db = c.To
	return there.with(ctx, true, func(conn *connection) error {
		model, err := there.findModel(ctx, conn, target)
		if err != nil {
			return err
		}
		return a.printCopy(source, conn.where, model, o)
	})
}

func (a *app) printCopy(source, where string, m *ngramv1.Model, o copyOptions) error {
	s := summariseModel(m)
	if o.json {
		return printJSON(a.out, s)
	}
	fmt.Fprintf(a.out, "copied model %q to %q in %s: %s, %s, build %s\n", source, s.Name, where,
		plural(s.Documents, "document", "documents"), plural(s.Tokens, "token", "tokens"), buildCell(s.PublishedBuild))
	return nil
}

package main

import (
	"context"
	"fmt"
	"io"

	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/cobra"
)

func newModelsCreate(a *app, asJSON *bool) *cobra.Command {
	o := trainOptions{weight: 1, estimation: estimation{storage: "8"}}
	cmd := &cobra.Command{
		Use:     "create NAME",
		Short:   "Make an empty model; train makes one too",
		Example: "  dbslm models create harbour --order 5 --tokenizer whitespace",
		Args:    oneArg("the model's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.model, o.orderGiven = args[0], cmd.Flags().Changed("order")
			header, err := o.header(a)
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), true, func(conn *connection) error {
				resp, err := ngramv1.NewModelServiceClient(conn).CreateModel(cmd.Context(), &ngramv1.CreateModelRequest{
					Tenant: a.tenant, Name: args[0], Settings: header.Ingest.Settings,
				})
				if err != nil {
					return err
				}
				m := summariseModel(resp.Model)
				if *asJSON {
					return printJSON(a.out, m)
				}
				what := "made"
				if !resp.Created {
					what = "there is already"
				}
				fmt.Fprintf(a.out, "%s model %q: order %d, tokeniser %s; train it with: dbslm train PATH --model %s\n", what, m.Name, m.Order, m.Tokenizer, m.Name)
				return nil
			})
		},
	}
	flags := cmd.Flags()
	o.settingFlags(flags, "3", "words", "nfc", "reserved")
	return cmd
}

func newModelsDelete(a *app, asJSON *bool) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a model with its documents and builds",
		Long: `Delete a model. Its name is free at once and nobody can use it any more; whoever reads one of its builds at that moment
is told so. Then its rows are removed in bounded batches: by this command, or with --server by the service, within
minutes. Interrupted at any moment, the same command goes on.`,
		Example:     "  dbslm models delete harbour --yes",
		Annotations: map[string]string{afterInterrupt: "; run the same command again to complete the deletion"},
		Args:        oneArg("the model's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				if err := a.deleteModel(cmd.Context(), conn, args[0], yes); err != nil {
					return err
				}
				if *asJSON {
					return printJSON(a.out, struct {
						Deleted string `json:"deleted"`
					}{args[0]})
				}
				fmt.Fprintf(a.out, "deleted model %q\n", args[0])
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// deleteModel deletes a model, and its rows too unless a service does that. NotFound if there is neither.
func (a *app) deleteModel(ctx context.Context, conn *connection, name string, yes bool) error {
	client := ngramv1.NewModelServiceClient(conn)
	resp, missing := client.GetModel(ctx, &ngramv1.GetModelRequest{Tenant: a.tenant, Model: name})
	if missing != nil && errors.KindOf(missing) != errors.NotFound {
		return missing
	}
	if missing == nil {
		if err := a.confirmDelete(ctx, conn, resp.Model, yes); err != nil {
			return err
		}
		if _, err := client.DeleteModel(ctx, &ngramv1.DeleteModelRequest{Tenant: a.tenant, Model: name}); err != nil {
			return err
		}
	}
	if a.server != "" {
		return missing
	}
	purged, err := a.purge(ctx, client, name)
	if err == nil && !purged {
		err = missing // else an earlier run was interrupted
	}
	return err
}

// purge removes the rows that a deleted model left; false if there were none.
func (a *app) purge(ctx context.Context, client ngramv1.ModelServiceClient, name string) (some bool, err error) {
	stream, err := client.PurgeModels(ctx, &ngramv1.PurgeModelsRequest{Tenant: a.tenant, Model: name})
	if err != nil {
		return false, err
	}
	bars := newProgress(a.streams)
	defer bars.close()
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			return some, nil
		}
		if err != nil {
			return some, err
		}
		if some = some || resp.Total > 0; some {
			bars.set("remove", resp.Done, resp.Total, false)
		}
	}
}

func (a *app) confirmDelete(ctx context.Context, conn *connection, m *ngramv1.Model, yes bool) error {
	what := fmt.Sprintf("model %q in %s (%s, %s)", m.Name, conn.where, plural(m.Documents, "document", "documents"), plural(m.Tokens, "token", "tokens"))
	switch {
	case yes:
		return nil
	case conn.remote:
		return usagef("this would delete %s; repeat the command with --yes to do that", what)
	case terminal(a.in):
		sure, err := confirm(ctx, a.streams, "Delete "+what+"?")
		if err == nil && !sure {
			return usagef("nothing was changed")
		}
		return err
	}
	return nil
}

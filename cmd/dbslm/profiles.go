package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
)

// profileSummary is a decode profile as it is printed.
type profileSummary struct {
	Name       string         `json:"name"`
	Model      string         `json:"model,omitempty"` // empty: for all models
	BuiltIn    bool           `json:"built_in"`
	Parameters map[string]any `json:"parameters"`
}

func (p profileSummary) scope() string {
	switch {
	case p.BuiltIn:
		return "built in"
	case p.Model == "":
		return "all models"
	}
	return p.Model
}

func newProfiles(a *app) *cobra.Command {
	var model string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "profiles",
		Short: "List, set and delete named decode parameters",
		Long: `List the decode profiles that requests to a model may name: those stored for it, those stored for all models, and those that
are built in. A profile of a model stands before one of the same name for all models, and what it does not set comes from the
built-in profile of its name, else from "default", which is in force where a request names none.`,
		Example: "  dbslm profiles\n  dbslm profiles --model harbour --json",
		Args:    knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				profiles, err := a.readProfiles(cmd.Context(), conn, model)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(a.out, profiles)
				}
				rows := [][]string{{"PROFILE", "FOR", "PARAMETERS"}}
				for _, p := range profiles {
					rows = append(rows, []string{p.Name, p.scope(), spelled(p.Parameters)})
				}
				return table(a.out, rows)
			})
		},
	}
	cmd.Flags().StringVar(&model, "model", "", "`name` of the model; empty lists what is for all models")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(newProfilesSet(a), newProfilesDelete(a))
	return cmd
}

func (a *app) readProfiles(ctx context.Context, conn *connection, model string) ([]profileSummary, error) {
	resp, err := ngramv1.NewProfileServiceClient(conn).ListProfiles(ctx, &ngramv1.ListProfilesRequest{Tenant: a.tenant, Model: model})
	if err != nil {
		return nil, err
	}
	profiles := []profileSummary{}
	for _, p := range resp.Profiles {
		summary, err := summariseProfile(p)
		if err != nil {
			return nil, err
		}
		profiles = append(profiles, summary)
	}
	return profiles, nil
}

func summariseProfile(p *ngramv1.Profile) (profileSummary, error) {
	parameters, err := parametersJSON(p.Parameters)
	return profileSummary{Name: p.Name, Model: p.Model, BuiltIn: p.BuiltIn, Parameters: parameters}, err
}

// parametersJSON returns decode parameters under the names of the protos.
func parametersJSON(p *ngramv1.DecodeParameters) (map[string]any, error) {
	data, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(p)
	if err != nil {
		return nil, err
	}
	fields := map[string]any{}
	return fields, json.Unmarshal(data, &fields)
}

// spelled writes parameters as the flags that set them.
func spelled(parameters map[string]any) string {
	var parts []string
	for name, value := range parameters {
		parts = append(parts, fmt.Sprintf("%s %v", strings.ReplaceAll(name, "_", "-"), value))
	}
	sort.Strings(parts)
	return strings.Join(parts, ", ")
}

func newProfilesSet(a *app) *cobra.Command {
	var model string
	var asJSON bool
	decode := &decodeFlags{}
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Store a profile, in the place of one of the same name",
		Long: `Store the given parameters under a name, for one model or, without --model, for all. A profile named "default" changes what
requests get that name none.`,
		Example: `  dbslm profiles set terse --max-tokens 20 --temperature 0.5 --model harbour
  dbslm profiles set default --max-copied 8`,
		Args: oneArg("the profile's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := ngramv1.NewProfileServiceClient(conn).SetProfile(cmd.Context(), &ngramv1.SetProfileRequest{
					Tenant: a.tenant, Profile: &ngramv1.Profile{Name: args[0], Model: model, Parameters: decode.parameters(cmd.Flags())},
				})
				if err != nil {
					return err
				}
				summary, err := summariseProfile(resp.Profile)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(a.out, summary)
				}
				fmt.Fprintf(a.out, "profile %s for %s: %s\n", summary.Name, summary.scope(), spelled(summary.Parameters))
				return nil
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&model, "model", "", "`name` of the model; empty stores it for all models")
	decode.register(flags)
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newProfilesDelete(a *app) *cobra.Command {
	var model string
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a stored profile",
		Example: `  dbslm profiles delete terse --model harbour
  dbslm profiles delete default`,
		Args: oneArg("the profile's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				_, err := ngramv1.NewProfileServiceClient(conn).DeleteProfile(cmd.Context(), &ngramv1.DeleteProfileRequest{Tenant: a.tenant, Model: model, Name: args[0]})
				if err == nil {
					fmt.Fprintf(a.out, "deleted profile %s\n", args[0])
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&model, "model", "", "`name` of the model; empty deletes the profile for all models")
	return cmd
}

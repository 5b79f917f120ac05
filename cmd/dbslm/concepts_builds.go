package main

import (
	"context"
	"fmt"
	"time"

	conceptv1 "dbslm/proto/dbslm/concept/v1"

	"github.com/spf13/cobra"
)

// conceptBuildSummary is a build of a bot's decision model as it is printed.
type conceptBuildSummary struct {
	ID        uint32    `json:"id"`
	Bot       string    `json:"bot"`
	Published bool      `json:"published"`
	Examples  uint64    `json:"examples"`
	Concepts  uint32    `json:"concepts"`
	Threshold float64   `json:"threshold"`
	Created   time.Time `json:"created"`
}

func summariseConceptBuild(b *conceptv1.ConceptBuild) conceptBuildSummary {
	return conceptBuildSummary{b.BuildId, b.Bot, b.Published, b.Examples, b.Concepts, b.Threshold, b.CreateTime.AsTime()}
}

func (a *app) printConceptBuild(b *conceptv1.ConceptBuild, asJSON bool) error {
	if asJSON {
		return printJSON(a.out, summariseConceptBuild(b))
	}
	state := "kept; from now on builds are published by hand"
	if b.Published {
		state = "published"
	}
	fmt.Fprintf(a.out, "build %d of bot %q: %s, made of %s of %s\n", b.BuildId, b.Bot, state,
		plural(b.Examples, "example", "examples"), plural(b.Concepts, "concept", "concepts"))
	return nil
}

func newConceptsBuild(a *app) *cobra.Command {
	req := &conceptv1.CreateConceptBuildRequest{}
	var noPublish, asJSON bool
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build the decision model of a bot from its examples, and publish it",
		Long: `A bot builds itself when it is first used after its examples changed, so this is needed only to do so at a chosen time, or to look at a
build before it decides: with --no-publish it is kept, and until a build of the newest examples is published no other is made by itself.`,
		Example: "  dbslm concepts build --bot sail-loft\n  dbslm concepts build --no-publish --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			req.Tenant, req.Publish = a.tenant, !noPublish
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := conceptv1.NewDecisionServiceClient(conn).CreateConceptBuild(cmd.Context(), req)
				if err != nil {
					return err
				}
				return a.printConceptBuild(resp.Build, asJSON)
			})
		},
	}
	botFlag(cmd, &req.Bot)
	cmd.Flags().BoolVar(&noPublish, "no-publish", false, "keep the build without letting it decide")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// conceptBuilds reads all builds of a bot that are kept, newest first.
func (a *app) conceptBuilds(ctx context.Context, conn *connection, bot string) (builds []*conceptv1.ConceptBuild, err error) {
	client := conceptv1.NewDecisionServiceClient(conn)
	for token := ""; ; {
		resp, err := client.ListConceptBuilds(ctx, &conceptv1.ListConceptBuildsRequest{Tenant: a.tenant, Bot: bot, PageSize: 1000, PageToken: token})
		if err != nil {
			return nil, err
		}
		builds = append(builds, resp.Builds...)
		if token = resp.NextPageToken; token == "" {
			return builds, nil
		}
	}
}

func newConceptsBuilds(a *app) *cobra.Command {
	var bot string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "builds",
		Short: "List the builds of a bot's decision model, newest first",
		Long: `A build is an immutable derivation of a bot's examples. The published one decides; every reply's trace names the one that decided it.
The published build and the newest eight are kept.`,
		Example: "  dbslm concepts builds --bot sail-loft\n  dbslm concepts builds --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				found, err := a.conceptBuilds(cmd.Context(), conn, bot)
				if err != nil {
					return err
				}
				builds := []conceptBuildSummary{}
				rows := [][]string{{"BUILD", "STATE", "CREATED", "EXAMPLES", "CONCEPTS", "THRESHOLD"}}
				for _, b := range found {
					builds = append(builds, summariseConceptBuild(b))
					state := "kept"
					if b.Published {
						state = "published"
					}
					rows = append(rows, []string{
						fmt.Sprint(b.BuildId), state, b.CreateTime.AsTime().Local().Format(time.DateTime), count(b.Examples), count(b.Concepts), fmt.Sprint(b.Threshold),
					})
				}
				switch {
				case asJSON:
					return printJSON(a.out, builds)
				case len(builds) == 0:
					fmt.Fprintln(a.out, "no build yet; one is made when the bot is first used, or by: dbslm concepts build")
					return nil
				}
				return table(a.out, rows)
			})
		},
	}
	botFlag(cmd, &bot)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newConceptsPublish(a *app) *cobra.Command {
	req := &conceptv1.PublishConceptBuildRequest{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "publish BUILD",
		Short: "Let a build of a bot decide",
		Long: `After publishing a build of the newest examples, builds follow the examples by themselves again. After publishing an older one they do
not, until one of the newest examples is published: dbslm concepts build does that.`,
		Example: "  dbslm concepts publish 7 --bot sail-loft",
		Args:    oneArg("the build's number"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := conceptBuildNumber(args[0])
			if err != nil {
				return err
			}
			req.Tenant, req.BuildId = a.tenant, id
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := conceptv1.NewDecisionServiceClient(conn).PublishConceptBuild(cmd.Context(), req)
				if err != nil {
					return err
				}
				return a.printConceptBuild(resp.Build, asJSON)
			})
		},
	}
	botFlag(cmd, &req.Bot)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// conceptBuildNumber reads the number of a bot's build from the command line.
func conceptBuildNumber(text string) (uint32, error) {
	id, err := buildNumber(text)
	if err != nil {
		return 0, usagef("%q is not a build; list them with: dbslm concepts builds", text)
	}
	return id, nil
}

func newConceptsRollback(a *app) *cobra.Command {
	var bot string
	var from uint32
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "rollback",
		Short: "Let the build before the published one decide",
		Long: `The newest kept build that is older than the published one is published. Builds no longer follow the examples then, until one of the
newest examples is published: dbslm concepts build does that. With --from, only if that build is published: then the command can be
repeated without going back twice.`,
		Example: "  dbslm concepts rollback --bot sail-loft\n  dbslm concepts rollback --from 7",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				builds, err := a.conceptBuilds(cmd.Context(), conn, bot)
				if err != nil {
					return err
				}
				var published, before *conceptv1.ConceptBuild
				for _, b := range builds {
					if b.Published {
						published = b
					} else if published != nil {
						before = b
						break
					}
				}
				switch {
				case published == nil:
					return usagef("the bot has no published build; make one with: dbslm concepts build")
				case from != 0 && published.BuildId != from:
					return usagef("build %d is published, not %d; nothing was changed", published.BuildId, from)
				case before == nil:
					return usagef("no build before %d is kept; see: dbslm concepts builds", published.BuildId)
				}
				resp, err := conceptv1.NewDecisionServiceClient(conn).PublishConceptBuild(cmd.Context(), &conceptv1.PublishConceptBuildRequest{Tenant: a.tenant, Bot: bot, BuildId: before.BuildId})
				if err != nil {
					return err
				}
				return a.printConceptBuild(resp.Build, asJSON)
			})
		},
	}
	botFlag(cmd, &bot)
	cmd.Flags().Uint32Var(&from, "from", 0, "roll back only if this `build` is published")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

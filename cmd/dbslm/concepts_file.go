package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	conceptv1 "dbslm/proto/dbslm/concept/v1"

	"github.com/spf13/cobra"
)

// maxBotFile is the largest file of a bot that is sent; the service says so too.
const maxBotFile = 4 << 20

// fileProblem, botChange and applyReport are what applying a file printed.
type fileProblem struct {
	Line    uint32 `json:"line"`
	Column  uint32 `json:"column"`
	Warning bool   `json:"warning"`
	Text    string `json:"text"`
}

type botChange struct {
	Concept string `json:"concept"`
	What    string `json:"what"`
	Before  string `json:"before,omitempty"`
	After   string `json:"after,omitempty"`
}

type applyReport struct {
	Problems    []fileProblem `json:"problems"`
	Changes     []botChange   `json:"changes"`
	ChangeCount uint64        `json:"change_count"`
	Applied     bool          `json:"applied"`
	Version     int64         `json:"version"`
}

func newConceptsApply(a *app) *cobra.Command {
	var bot string
	var dryRun, keep, asJSON bool
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Make a bot what a file of YAML or JSON says, in one step",
		Long: `The whole file is checked first, and everything wrong with it is told at once, each with its line. What differs is shown, then
stored in one transaction: concepts that the file does not name are removed, unless --keep is given. "-" reads standard input.`,
		Example: `  dbslm concepts apply bot.yaml --dry-run
  dbslm concepts apply bot.yaml --bot sail-loft
  dbslm concepts export --bot sail-loft | dbslm concepts apply - --bot copy`,
		Args: oneArg("the file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := a.readBotFile(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), !dryRun, func(conn *connection) error {
				return a.applyBot(cmd.Context(), conn, args[0], &conceptv1.ApplyBotRequest{Tenant: a.tenant, Bot: bot, File: file, DryRun: dryRun, Keep: keep}, asJSON)
			})
		},
	}
	botFlag(cmd, &bot)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what is wrong and what would change")
	cmd.Flags().BoolVar(&keep, "keep", false, "keep concepts that the file does not name")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) readBotFile(ctx context.Context, name string) (string, error) {
	in, err := a.openNamed(ctx, name)
	if err != nil {
		return "", err
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, maxBotFile+1))
	switch {
	case err != nil:
		return "", usagef("%s: %v", name, err)
	case len(data) > maxBotFile:
		return "", usagef("%s has more than %s bytes, the largest file of a bot", name, count(maxBotFile))
	case len(data) == 0:
		return "", usagef("%s is empty; it needs concepts", name)
	case !utf8.Valid(data):
		return "", usagef("%s is not UTF-8 text", name)
	}
	return string(data), nil
}

// applyBot looks first and applies exactly what it has shown.
func (a *app) applyBot(ctx context.Context, conn *connection, name string, req *conceptv1.ApplyBotRequest, asJSON bool) error {
	client := conceptv1.NewBotServiceClient(conn)
	wanted := req.DryRun
	req.DryRun = true
	resp, err := client.ApplyBot(ctx, req)
	if err != nil {
		return err
	}
	wrong := 0
	for _, p := range resp.Problems {
		if !p.Warning {
			wrong++
		}
	}
	if !wanted && wrong == 0 && resp.ChangeCount > 0 {
		shown := resp
		req.DryRun, req.IfVersion = false, resp.Version
		if resp, err = client.ApplyBot(ctx, req); err != nil {
			return err
		}
		resp.Changes = shown.Changes
	}
	if asJSON {
		if err := printJSON(a.out, reportOf(resp)); err != nil {
			return err
		}
	} else {
		a.printApplied(name, resp, wanted)
	}
	if wrong > 0 {
		return usagef("%s has %s; nothing was changed", name, plural(wrong, "problem", "problems"))
	}
	return nil
}

func reportOf(resp *conceptv1.ApplyBotResponse) applyReport {
	r := applyReport{Problems: []fileProblem{}, Changes: []botChange{}, ChangeCount: resp.ChangeCount, Applied: resp.Applied, Version: resp.Version}
	for _, p := range resp.Problems {
		r.Problems = append(r.Problems, fileProblem{p.Line, p.Column, p.Warning, p.Text})
	}
	for _, c := range resp.Changes {
		r.Changes = append(r.Changes, botChange{c.Concept, c.What, c.Before, c.After})
	}
	return r
}

func (a *app) printApplied(name string, resp *conceptv1.ApplyBotResponse, dryRun bool) {
	wrong := false
	for _, p := range resp.Problems {
		place, kind := name, ""
		if p.Line > 0 {
			place = fmt.Sprintf("%s:%d:%d", name, p.Line, p.Column)
		}
		if p.Warning {
			kind = "warning: "
		} else {
			wrong = true
		}
		fmt.Fprintf(a.err, "%s: %s%s\n", place, kind, oneLine(p.Text))
	}
	if wrong {
		return
	}
	owner := ""
	for _, c := range resp.Changes {
		if c.Concept != owner {
			owner = c.Concept
			fmt.Fprintln(a.out, owner)
		}
		fmt.Fprintf(a.out, "  %s\n", c.What)
		a.printLines("-", c.Before)
		a.printLines("+", c.After)
	}
	if more := resp.ChangeCount - uint64(len(resp.Changes)); more > 0 {
		fmt.Fprintf(a.out, "and %s more\n", count(more))
	}
	switch n := plural(resp.ChangeCount, "change", "changes"); {
	case resp.ChangeCount == 0:
		fmt.Fprintln(a.out, "nothing to change")
	case dryRun:
		fmt.Fprintf(a.out, "%s would be made\n", n)
	default:
		fmt.Fprintf(a.out, "%s made; the bot has version %d\n", n, resp.Version)
	}
}

func (a *app) printLines(sign, text string) {
	if text == "" {
		return
	}
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintf(a.out, "    %s %s\n", sign, oneLine(line))
	}
}

func newConceptsExport(a *app) *cobra.Command {
	var bot string
	cmd := &cobra.Command{
		Use:     "export",
		Short:   "Print a bot as the file that apply reads",
		Example: "  dbslm concepts export --bot sail-loft > bot.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := conceptv1.NewBotServiceClient(conn).ExportBot(cmd.Context(), &conceptv1.ExportBotRequest{Tenant: a.tenant, Bot: bot})
				if err != nil {
					return err
				}
				_, err = io.WriteString(a.out, resp.File)
				return err
			})
		},
	}
	botFlag(cmd, &bot)
	return cmd
}

// historyEntry is a change of a bot as it is printed.
type historyEntry struct {
	BotVersion int64     `json:"bot_version"`
	Concept    string    `json:"concept,omitempty"`
	What       string    `json:"what"`
	Version    uint32    `json:"version,omitempty"`
	Content    string    `json:"content,omitempty"`
	Changed    time.Time `json:"changed"`
}

func newConceptsHistory(a *app) *cobra.Command {
	var bot string
	var limit int32
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "history [CONCEPT]",
		Short:   "Show what was changed in a bot or a concept, newest first",
		Example: "  dbslm concepts history --bot sail-loft\n  dbslm concepts history OpeningHours --bot sail-loft --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 || limit > 1000 {
				return usagef("--limit %d is not between 1 and 1000", limit)
			}
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := conceptv1.NewBotServiceClient(conn).ListHistory(cmd.Context(), &conceptv1.ListHistoryRequest{
					Tenant: a.tenant, Bot: bot, Concept: strings.Join(args, ""), PageSize: limit,
				})
				if err != nil {
					return err
				}
				entries := []historyEntry{}
				rows := [][]string{{"BOT VERSION", "CHANGED", "CONCEPT", "WHAT", "BECAME"}}
				for _, e := range resp.Entries {
					entries = append(entries, historyEntry{e.BotVersion, e.Concept, e.What, e.Version, e.Content, e.ChangeTime.AsTime()})
					became := e.Content
					if became == "" {
						became = "deleted"
					}
					rows = append(rows, []string{fmt.Sprint(e.BotVersion), e.ChangeTime.AsTime().Format(time.RFC3339), e.Concept, e.What, oneLine(became)})
				}
				switch {
				case asJSON:
					return printJSON(a.out, entries)
				case len(entries) == 0:
					fmt.Fprintln(a.out, "nothing was changed")
					return nil
				}
				return table(a.out, rows)
			})
		},
	}
	botFlag(cmd, &bot)
	cmd.Flags().Int32Var(&limit, "limit", 100, "changes shown at most, `1 to 1000`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

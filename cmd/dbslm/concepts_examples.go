package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	"dbslm/services/concept/predict"

	"github.com/spf13/cobra"
)

// maxLabelled is the largest file of labelled utterances, in bytes; maxAdded how many examples one request holds.
const (
	maxLabelled = 256 << 20
	maxAdded    = 10000
	// longestExample is the longest utterance that can be an example, in bytes.
	longestExample = 4096
)

// exampleSummary is an example as it is printed.
type exampleSummary struct {
	Concept   string `json:"concept"`
	Utterance string `json:"utterance"`
}

func newConceptsExamples(a *app) *cobra.Command {
	var bot string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "examples [CONCEPT]",
		Short: "Print the example utterances of a bot, or of one of its concepts",
		Long: `Each line is an utterance and its concept with a tab between them: the form that concepts import and concepts eval read. What was
learnt from use is among them.`,
		Example: "  dbslm concepts examples OpeningHours --bot sail-loft\n  dbslm concepts examples --bot sail-loft > examples.tsv\n  dbslm concepts examples --json",
		Args:    atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				client := conceptv1.NewCatalogueServiceClient(conn)
				only := strings.Join(args, "")
				if only != "" {
					if _, err := client.GetConcept(cmd.Context(), &conceptv1.GetConceptRequest{Tenant: a.tenant, Bot: bot, Name: only}); err != nil {
						return err
					}
				}
				examples := []exampleSummary{}
				for token := ""; ; {
					resp, err := client.ListExamples(cmd.Context(), &conceptv1.ListExamplesRequest{Tenant: a.tenant, Bot: bot, Concept: only, PageSize: 1000, PageToken: token})
					if err != nil {
						return err
					}
					for _, e := range resp.Examples {
						examples = append(examples, exampleSummary{e.Concept, e.Utterance})
					}
					if token = resp.NextPageToken; token == "" {
						break
					}
				}
				if asJSON {
					return printJSON(a.out, examples)
				}
				for _, e := range examples {
					if _, err := fmt.Fprintf(a.out, "%s\t%s\n", e.Utterance, e.Concept); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	botFlag(cmd, &bot)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// labelled is an utterance and the concept that it means; "" for none.
type labelled struct{ utterance, concept string }

func parseLabelled(line string) (labelled, error) {
	utterance, concept, ok := strings.Cut(line, "\t")
	if concept = strings.TrimSpace(concept); !ok || concept == "" || strings.ContainsRune(concept, '\t') {
		return labelled{}, usagef("is not an utterance and a concept with one tab between them")
	}
	if strings.TrimSpace(utterance) == "" {
		return labelled{}, usagef("has no utterance before the tab")
	}
	return labelled{strings.TrimSpace(utterance), concept}, nil
}

// conceptName is what the service takes as the name of a concept.
var conceptName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,127}$`)

// parseExample is parseLabelled for what becomes an example: everything that the service would refuse is found before anything is stored.
func parseExample(line string) (labelled, error) {
	l, err := parseLabelled(line)
	switch {
	case err != nil:
		return l, err
	case !conceptName.MatchString(l.concept):
		return l, usagef("names the concept %q; a name is a letter, then up to 127 letters, digits and _", l.concept)
	case len(l.utterance) > longestExample:
		return l, usagef("has an utterance of %s bytes; the longest example has %s", count(len(l.utterance)), count(longestExample))
	case len(predict.Features(l.utterance)) == 0:
		return l, usagef("has an utterance without a word")
	}
	return l, nil
}

func checkUtterance(text string) error {
	switch {
	case len(text) > longestUtterance:
		return usagef("has %s bytes; the longest utterance has %s", count(len(text)), count(longestUtterance))
	case !utf8.ValidString(text):
		return usagef("is not valid UTF-8 at byte offset %d", firstInvalid(text))
	case strings.ContainsRune(text, 0):
		return usagef("has a NUL byte at byte offset %d; remove it", strings.IndexByte(text, 0))
	case strings.TrimSpace(text) == "":
		return usagef("is empty; say something")
	}
	return nil
}

// readUtteranceFile reads a file of lines, or standard input for "-".
func readUtteranceFile[T any](ctx context.Context, a *app, name string, parse func(line string) (T, error)) ([]T, error) {
	in, err := a.openNamed(ctx, name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	if name == "-" {
		name = "standard input"
	}
	return readUtterances(in, name, parse)
}

// importSummary is what an import did, as it is printed.
type importSummary struct {
	Bot      string   `json:"bot"`
	Lines    int      `json:"lines"`
	Added    uint64   `json:"added"`
	Created  []string `json:"created"`
	Concepts int      `json:"concepts"`
}

func newConceptsImport(a *app) *cobra.Command {
	var bot string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "import FILE.tsv",
		Short: "Make concepts and examples out of labelled utterances",
		Long: `Each line is an utterance, a tab and the name of a concept (a letter, then letters, digits and _). Concepts that the bot does not have are
made, without templates: they are predicted, and speak once they have a template. Examples that are known change nothing, so that an
import can be repeated. The whole file is read and checked first. "-" reads standard input.`,
		Example: "  dbslm concepts import train.tsv --bot assistant\n  dbslm concepts examples --bot assistant | dbslm concepts import - --bot copy",
		Args:    oneArg("the file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			lines, err := readUtteranceFile(cmd.Context(), a, args[0], parseExample)
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), true, func(conn *connection) error {
				done, err := a.importConcepts(cmd.Context(), conn, bot, lines)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(a.out, done)
				}
				fmt.Fprintf(a.out, "%s of %s new, %s made\n", count(done.Added), plural(done.Lines, "example", "examples"), plural(len(done.Created), "concept", "concepts"))
				return nil
			})
		},
	}
	botFlag(cmd, &bot)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) importConcepts(ctx context.Context, conn *connection, bot string, lines []labelled) (importSummary, error) {
	done := importSummary{Bot: bot, Lines: len(lines), Created: []string{}}
	if bot == "" {
		done.Bot = "default"
	}
	client := conceptv1.NewCatalogueServiceClient(conn)
	var wanted []string
	for _, l := range lines {
		wanted = append(wanted, l.concept)
	}
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	done.Concepts = len(wanted)
	known := map[string]bool{}
	list, err := a.readConcepts(ctx, conn, bot)
	if err != nil && errors.ReasonOf(err) != "BOT_NOT_FOUND" {
		return done, err
	}
	for _, c := range list {
		known[c.Name] = true
	}
	for _, name := range wanted {
		if known[name] {
			continue
		}
		if _, err := client.PutConcept(ctx, &conceptv1.PutConceptRequest{Tenant: a.tenant, Bot: bot, Concept: &conceptv1.Concept{Name: name}}); err != nil {
			return done, err
		}
		done.Created = append(done.Created, name)
	}
	for batch := range slices.Chunk(lines, maxAdded) {
		req := &conceptv1.AddExamplesRequest{Tenant: a.tenant, Bot: bot}
		for _, l := range batch {
			req.Examples = append(req.Examples, &conceptv1.Example{Concept: l.concept, Utterance: l.utterance})
		}
		resp, err := client.AddExamples(ctx, req)
		if err != nil {
			return done, err
		}
		done.Added += resp.Added
	}
	return done, nil
}

// lessonSummary is what use says about one utterance and one concept, as it is printed.
type lessonSummary struct {
	Concept   string `json:"concept"`
	Utterance string `json:"utterance"`
	Right     uint32 `json:"right"`
	Wrong     uint32 `json:"wrong"`
	Change    string `json:"change"`
}

// learnReport is what a review merged, or would merge.
type learnReport struct {
	Merged     bool            `json:"merged"`
	ReviewedBy string          `json:"reviewed_by,omitempty"`
	Added      uint64          `json:"added"`
	Removed    uint64          `json:"removed"`
	Lessons    []lessonSummary `json:"lessons"`
}

var lessonChanges = map[conceptv1.Lesson_Change]string{
	conceptv1.Lesson_CHANGE_UNSPECIFIED: "none", conceptv1.Lesson_CHANGE_ADDED: "added", conceptv1.Lesson_CHANGE_REMOVED: "removed",
}

func newConceptsLearn(a *app) *cobra.Command {
	req := &conceptv1.LearnRequest{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "learn",
		Short: "Review what was observed in use, and merge it into a bot's examples",
		Long: `Print what was observed of concepts in use since the last review: how often each was right and wrong for an utterance, and what would
become of the example. Nothing is learnt unreviewed: with --by NAME it is merged, under that name. An utterance becomes an example of a
concept that was right for it more often than wrong, and stops being one in the opposite case. The next build uses it.`,
		Example: "  dbslm concepts learn --bot sail-loft\n  dbslm concepts learn --bot sail-loft --by ana\n  dbslm concepts learn --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			req.Tenant = a.tenant
			if cmd.Flags().Changed("by") {
				if strings.TrimSpace(req.ReviewedBy) == "" {
					return usagef("--by is empty; name who reviewed it")
				}
			} else {
				req.DryRun, req.ReviewedBy = true, "nobody"
			}
			return a.with(cmd.Context(), false, func(conn *connection) error {
				report := learnReport{Merged: !req.DryRun, Lessons: []lessonSummary{}}
				if report.Merged {
					report.ReviewedBy = req.ReviewedBy
				}
				for { // one call merges a part of many observations
					resp, err := conceptv1.NewDecisionServiceClient(conn).Learn(cmd.Context(), req)
					if err != nil {
						return err
					}
					report.Added += resp.Added
					report.Removed += resp.Removed
					for _, l := range resp.Lessons {
						report.Lessons = append(report.Lessons, lessonSummary{l.Concept, l.Utterance, l.Right, l.Wrong, lessonChanges[l.Change]})
					}
					if req.DryRun || len(resp.Lessons) == 0 {
						break
					}
				}
				if asJSON {
					return printJSON(a.out, report)
				}
				return a.printLearnt(report)
			})
		},
	}
	botFlag(cmd, &req.Bot)
	cmd.Flags().StringVar(&req.ReviewedBy, "by", "", "merge it; `name` of who reviewed it")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) printLearnt(report learnReport) error {
	if len(report.Lessons) == 0 {
		fmt.Fprintln(a.out, "nothing was observed since the last review")
		return nil
	}
	rows := [][]string{{"CONCEPT", "RIGHT", "WRONG", "EXAMPLE", "UTTERANCE"}}
	for _, l := range report.Lessons {
		rows = append(rows, []string{l.Concept, count(l.Right), count(l.Wrong), l.Change, oneLine(l.Utterance)})
	}
	if err := table(a.out, rows); err != nil {
		return err
	}
	verb := "would be "
	if report.Merged {
		verb = ""
	}
	fmt.Fprintf(a.out, "%s %sadded, %s removed\n", plural(report.Added, "example", "examples"), verb, count(report.Removed))
	if !report.Merged && report.Added+report.Removed > 0 {
		fmt.Fprintln(a.out, "merge it with: dbslm concepts learn --by NAME")
	}
	return nil
}

package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"dbslm/cmd/dbslm/converse"
	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"

	"github.com/spf13/cobra"
)

// conversing are the flags of the commands that hold written conversations.
type conversing struct {
	options converse.Options
	texts   []string
	copied  int
	minimum float64
	verbose bool
	asJSON  bool
}

func newConverse(a *app) *cobra.Command {
	c := conversing{}
	cmd := &cobra.Command{
		Use:   "converse FILE...",
		Short: "Hold conversations that are written down, and score the replies",
		Long: `Hold the conversations of one or several files of YAML, each from its beginning, and judge every reply: does it say what its
turn expects (answered, correct fact), repeat nothing, end well, read as written text; and with --texts, does the language model
copy no more than --copied words in a row. docs/conversations.md describes the files. The conversations are erased afterwards
unless --keep. The exit code is 1 when a category has a smaller share than --min of good replies.`,
		Example: `  dbslm converse examples/sail-loft/conversations.yaml
  dbslm converse set.yaml --texts corpus/ --copied 12 --min 0.95
  dbslm converse set.yaml --json`,
		Args: someArgs("a file"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.converse(cmd.Context(), args, c) },
	}
	c.flags(cmd)
	cmd.Flags().StringArrayVar(&c.texts, "texts", nil, "`path` of a text or a directory of texts that no reply may copy; may be given several times")
	cmd.Flags().IntVar(&c.copied, "copied", 12, "`words` in a row that may be copied from --texts")
	cmd.Flags().Float64Var(&c.minimum, "min", 1, "smallest `share` of good replies in each category, 0 to 1")
	return cmd
}

func newConceptsTest(a *app) *cobra.Command {
	c := conversing{minimum: 1}
	c.options.Strict = true
	cmd := &cobra.Command{
		Use:   "test FILE...",
		Short: "Hold conversations that are written down, and check what their turns expect",
		Long: `Hold the conversations of one or several files of YAML, each from its beginning, and check what their turns expect: tests of a
bot. docs/conversations.md describes the files. The conversations are erased afterwards unless --keep. The exit code is 1 when a
reply is not as expected. dbslm converse also judges how replies read.`,
		Example: `  dbslm concepts test examples/sail-loft/conversations.yaml --bot sail-loft
  dbslm concepts test tests/*.yaml --json`,
		Args: someArgs("a file"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.converse(cmd.Context(), args, c) },
	}
	c.flags(cmd)
	return cmd
}

func (c *conversing) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.options.Bot, "bot", "", "`name` of the bot, instead of the one that the files name")
	cmd.Flags().StringVar(&c.options.Model, "model", "", "`name` of the model, instead of the one that the files name")
	cmd.Flags().BoolVar(&c.options.Keep, "keep", false, "keep the conversations")
	cmd.Flags().BoolVarP(&c.verbose, "verbose", "v", false, "print every turn")
	cmd.Flags().BoolVar(&c.asJSON, "json", false, "print JSON")
}

// converse runs scripts, prints what came out, and fails when it is not good enough.
func (a *app) converse(ctx context.Context, files []string, c conversing) error {
	if c.minimum < 0 || c.minimum > 1 || c.minimum != c.minimum {
		return usagef("--min %v is impossible; give a share from 0 to 1", c.minimum)
	}
	if len(c.texts) > 0 {
		if c.copied < 1 || c.copied > 1000 {
			return usagef("--copied %d is impossible; give 1 to 1000 words", c.copied)
		}
		texts, err := readTexts(c.texts)
		if err != nil {
			return err
		}
		c.options.Source = converse.NewSource(texts, c.copied)
	}
	scripts := make([]*converse.Script, len(files))
	for i, name := range files {
		var err error
		if scripts[i], err = a.readScript(ctx, name); err != nil {
			return err
		}
	}
	run, err := newRequestID()
	if err != nil {
		return err
	}
	o := c.options
	o.Tenant, o.User, o.Run = a.tenant, "dbslm converse", run
	if c.verbose && !c.asJSON {
		o.Said = a.showTurn()
	}
	var report converse.Report
	err = a.with(ctx, false, func(conn *connection) error {
		for i, script := range scripts {
			if err := report.Run(ctx, conn, script, o); err != nil {
				return fmt.Errorf("%s: %w", files[i], err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if c.asJSON {
		if err := printJSON(a.out, report); err != nil {
			return err
		}
	} else if err := a.printReport(report); err != nil {
		return err
	}
	return goodEnough(report, c.minimum)
}

// goodEnough fails for the first category with a smaller share of good replies.
func goodEnough(r converse.Report, minimum float64) error {
	for _, s := range r.Scores {
		if float64(s.Passed) < minimum*float64(s.Of) {
			return errors.New(errors.Aborted, "NOT_AS_EXPECTED", "%s: %s of %s good", s.Category, count(s.Passed), count(s.Of))
		}
	}
	return nil
}

// maxTexts bounds the bytes of texts that copies are looked for in.
const maxTexts = 256 << 20

// readTexts reads texts as training does.
func readTexts(paths []string) (texts []string, err error) {
	inputs, err := findInputs(paths, true, reading{})
	if err != nil {
		return nil, err
	}
	room := int64(maxTexts)
	for _, in := range inputs {
		r, err := in.opened("", nil)
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(io.LimitReader(r, room+1))
		if err = errors.Join(err, r.Close()); err != nil {
			return nil, usagef("cannot read %s: %v", in.path, reason(err))
		}
		if room -= int64(len(data)); room < 0 {
			return nil, usagef("--texts hold more than %s MiB; name fewer", count(maxTexts>>20))
		}
		texts = append(texts, string(data))
	}
	return texts, nil
}

func (a *app) readScript(ctx context.Context, name string) (*converse.Script, error) {
	in, err := a.openNamed(ctx, name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	script, err := converse.Read(in)
	if err != nil {
		return nil, usagef("%s: %s", name, errors.Public(err))
	}
	return script, nil
}

// showTurn prints turns as they are taken.
func (a *app) showTurn() func(string, converse.Turn, *gatewayv1.RespondResponse, []converse.Failure) {
	last := ""
	return func(name string, turn converse.Turn, reply *gatewayv1.RespondResponse, failures []converse.Failure) {
		if name != last {
			fmt.Fprintf(a.out, "# %s\n", name)
			last = name
		}
		fmt.Fprintf(a.out, "user> %s\nassistant> %s\n", turn.Say, reply.Message.GetContent())
		for _, f := range failures {
			fmt.Fprintf(a.out, "  %s: %s\n", f.Category, f.Why)
		}
	}
}

func (a *app) printReport(r converse.Report) error {
	for _, f := range r.Failures {
		fmt.Fprintf(a.out, "%s, line %d: %s: %s\n  user> %s\n  assistant> %s\n", f.Conversation, f.Line, f.Category, f.Why, f.Said, f.Reply)
		if f.MessageID != "" {
			fmt.Fprintf(a.out, "  dbslm explain %s\n", f.MessageID)
		}
	}
	fmt.Fprintf(a.out, "%s, %s\n", plural(r.Conversations, "conversation", "conversations"), plural(r.Turns, "reply", "replies"))
	rows := [][]string{{"CATEGORY", "GOOD", "OF", "SHARE"}}
	for _, s := range r.Scores {
		if s.Of > 0 {
			rows = append(rows, []string{string(s.Category), count(s.Passed), count(s.Of), strings.TrimSuffix(fmt.Sprintf("%.1f", 100*float64(s.Passed)/float64(s.Of)), ".0") + " %"})
		}
	}
	return table(a.out, rows)
}

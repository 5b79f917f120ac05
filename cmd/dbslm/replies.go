package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/cobra"
)

func newExplain(a *app) *cobra.Command {
	req := &gatewayv1.ExplainRequest{Rows: &ngramv1.ExplainOptions{}}
	var asJSON, sql bool
	cmd := &cobra.Command{
		Use:   "explain MESSAGE",
		Short: "Tell how a reply came about, down to the rows",
		Long: `Make a reply again from its trace and tell how it came about: the window it saw, the corrections and facts that were considered,
the concepts with their probabilities, the template with the source of each value; and for each word of the language model the
candidates with their probability after every stage of decoding, and the rows. docs/decoding.md tells what the stages do.`,
		Example: `  dbslm explain 0193e4a1-…
  dbslm explain 0193e4a1-… --candidates 3 --json
  dbslm explain 0193e4a1-… --sql > rows.sql`,
		Args: oneArg("the id of a reply (dbslm history --json tells ids)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if req.Candidates == 0 || req.Candidates > 50 {
				return usagef("--candidates must be from 1 to 50, not %d", req.Candidates)
			}
			if asJSON && sql {
				return usagef("--sql prints statements and nothing else; leave out --json")
			}
			req.Tenant, req.MessageId, req.Rows.Sql = a.tenant, args[0], sql
			return a.with(cmd.Context(), false, func(conn *connection) error {
				e, err := conn.gateway.Explain(cmd.Context(), req)
				if err != nil {
					return err
				}
				switch {
				case asJSON:
					return printJSON(a.out, protoJSON(e))
				case sql:
					a.printRows(e)
					return nil
				}
				return a.printReply(e)
			})
		},
	}
	flags := cmd.Flags()
	flags.Uint32Var(&req.Candidates, "candidates", 5, "show the `N` likeliest candidates of each word, 1 to 50")
	flags.Uint32Var(&req.Rows.MaxTokens, "explain-tokens", 100, "read the rows of the first `N` words, up to 1000")
	flags.StringVar(&req.Model, "model", "", "`name` of a model to make it again with, such as a copy; empty is the one that wrote it")
	flags.Uint32Var(&req.NgramBuildId, "build", 0, "`number` of the build to make it again with; 0 is the one that wrote it")
	flags.BoolVar(&sql, "sql", false, "print nothing but the statements that return the rows, to be piped into a SQL client")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printRows prints the statements of every word as a script.
func (a *app) printRows(e *gatewayv1.ExplainResponse) {
	for _, s := range e.Segments {
		for _, token := range s.Tokens {
			printStatements(a.out, token.Token.GetText(), token.Explanation.GetStatements())
		}
		printStatements(a.out, fmt.Sprintf("build %d", s.Explained.GetBuildId()), s.Explained.GetStatements())
	}
}

// printReply tells in words how a reply came about.
func (a *app) printReply(e *gatewayv1.ExplainResponse) error {
	fmt.Fprintf(a.out, "%q\n", e.Message.GetContent())
	if e.UserMessage != nil {
		fmt.Fprintf(a.out, "answers: %q\n", e.UserMessage.Content)
	}
	switch {
	case e.NotReplayable != nil:
		fmt.Fprintf(a.out, "cannot be made again (%s): %s\n", e.NotReplayable.Reason, e.NotReplayable.Detail)
	case e.Identical:
		fmt.Fprintln(a.out, "made again: identical, byte for byte")
	default:
		fmt.Fprintln(a.out, "made again: it says something else; dbslm replay tells where it differs")
	}
	if w := e.Window; w != nil {
		fmt.Fprintf(a.out, "window: %s before it", plural(len(w.Messages), "message", "messages"))
		if w.OmittedMessages > 0 {
			fmt.Fprintf(a.out, ", %s left out", plural(w.OmittedMessages, "older one", "older ones"))
		}
		if w.FirstMessageCut {
			fmt.Fprint(a.out, ", the first one cut")
		}
		fmt.Fprintln(a.out)
	}
	for _, c := range e.Corrections {
		fmt.Fprintf(a.out, "correction %s, version %d: %s; %s\n", c.CorrectionId, c.Version, correctionText(c.Correction), strings.Join(fates(c), ", "))
	}
	for _, f := range e.Facts {
		fmt.Fprintf(a.out, "fact %s: %s / %s = %s\n", f.FactId, f.Entity, f.Attribute, oneLine(f.Value))
	}
	for _, d := range e.Trace.GetDegradations() {
		fmt.Fprintf(a.out, "without %s (%s %s): %s\n", d.Service, d.Code, d.Reason, d.Effect)
	}
	for i, s := range e.Segments {
		if err := a.printSegment(i, s); err != nil {
			return err
		}
	}
	return nil
}

func correctionText(c *memoryv1.Correction) string {
	if c == nil {
		return "erased since"
	}
	if f := c.Fact; f.GetEntity() != "" || f.GetAttribute() != "" {
		return fmt.Sprintf("%s / %s = %s", f.GetEntity(), f.GetAttribute(), oneLine(f.GetValue()))
	}
	return fmt.Sprintf("%s instead of %s", oneLine(c.Fact.GetValue()), oneLine(c.ErrorContext))
}

// fates are what became of a correction in a reply.
func fates(c *gatewayv1.ExplainedCorrection) []string {
	out := []string{"considered"}
	if c.Steered {
		out = append(out, "steered level 1")
	}
	if c.Applied {
		out = append(out, "applied")
	}
	return out
}

func (a *app) printSegment(number int, s *gatewayv1.ExplainedSegment) error {
	fmt.Fprintf(a.out, "\nsegment %d: %q\n", number+1, s.Text)
	if span := s.Span; span != nil {
		why := fmt.Sprintf("with probability %.4f", span.Probability)
		if span.Signal != nil {
			why = "asked for by signal " + span.Signal.SignalId
		}
		fmt.Fprintf(a.out, "concept %s, %s; template %s, version %d: %q\n", span.Concept, why, span.TemplateId, span.TemplateVersion, s.TemplateText)
		slots := make([]string, 0, len(span.SlotSources))
		for slot := range span.SlotSources {
			slots = append(slots, slot)
		}
		slices.Sort(slots)
		for _, slot := range slots {
			fmt.Fprintf(a.out, "  {%s} from: %s\n", slot, strings.ReplaceAll(span.SlotSources[slot], "_", "-"))
		}
		if len(slots) > 0 {
			fmt.Fprintf(a.out, "  payload: %s\n", span.PayloadJson)
		}
	} else {
		fmt.Fprintf(a.out, "level 1 wrote it; level 3 said nothing: %s\n", orUnknown(strings.ReplaceAll(s.Abstained, "_", " ")))
	}
	if p := s.Provided; p != nil {
		fmt.Fprintf(a.out, "  provider of %s: %s%s\n", p.Concept, p.PayloadJson, p.Failure)
	}
	if len(s.Considered) > 0 {
		fmt.Fprintf(a.out, "concepts considered (threshold %.4g):\n", s.Threshold)
	}
	for _, c := range s.Considered {
		fmt.Fprintf(a.out, "  %s %.4f %s", c.Concept, c.Probability, orElse(c.Reason, "chosen"))
		if len(c.Features) > 0 {
			fmt.Fprintf(a.out, " [%s]", strings.Join(c.Features, ", "))
		}
		fmt.Fprintln(a.out)
	}
	if len(s.Tokens) == 0 {
		return nil
	}
	if err := table(a.out, tokenRows(s)); err != nil {
		return err
	}
	for _, token := range s.Tokens {
		if r := token.Replaced; r != nil {
			fmt.Fprintf(a.out, "  written in the place of the last %s up to %s: %q (%s)\n", plural(r.Tokens, "token", "tokens"), printable(token.Token.GetText()), r.Text, r.Source)
		}
	}
	fmt.Fprintln(a.out)
	a.printSummary(s.Explained)
	return nil
}

// tokenRows are one row for each word, its candidates beside it.
func tokenRows(s *gatewayv1.ExplainedSegment) [][]string {
	head := []string{"TOKEN", "ORDER", "ROWS SAY"}
	for _, stage := range s.Stages {
		head = append(head, strings.ToUpper(stage))
	}
	rows := [][]string{append(head, "LEFT", "OTHERS")}
	for _, token := range s.Tokens {
		row := []string{printable(token.Token.GetText()), fmt.Sprint(token.MatchedOrder), "-"}
		if token.Explanation != nil && !token.Explanation.Literal {
			row[2] = fmt.Sprintf("%.4g", token.Explanation.Probability)
		}
		probabilities := make([]string, len(s.Stages))
		var others []string
		for _, c := range token.Stages {
			if c.Token.GetId() != token.Token.GetId() {
				others = append(others, fmt.Sprintf("%s %.3g", printable(c.Token.GetText()), c.Probabilities[len(c.Probabilities)-1]))
				continue
			}
			for i, p := range c.Probabilities {
				probabilities[i] = fmt.Sprintf("%.4g", p)
			}
		}
		row = append(append(row, probabilities...), count(token.Candidates), strings.Join(others, ", "))
		rows = append(rows, row)
	}
	return rows
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func orUnknown(s string) string { return orElse(s, "not kept (dbslm retention)") }

// replayed is a replay as it is printed.
type replayed struct {
	Message   string  `json:"message"`
	Identical bool    `json:"identical"`
	Text      string  `json:"text"`
	Stored    string  `json:"stored_text"`
	DiffersAt *uint64 `json:"differs_at,omitempty"`
	Reason    string  `json:"reason,omitempty"`
	Detail    string  `json:"not_replayable,omitempty"`
	Model     string  `json:"model,omitempty"`
	Build     uint32  `json:"build,omitempty"`
}

func (r replayed) line() string {
	switch {
	case r.Reason != "":
		return fmt.Sprintf("NOT_REPLAYABLE %s: %s", r.Reason, r.Detail)
	case r.Identical:
		return "identical"
	}
	return fmt.Sprintf("differs from byte %d on: %q", *r.DiffersAt, r.Text[min(int(*r.DiffersAt), len(r.Text)):])
}

func newReplay(a *app) *cobra.Command {
	req := &gatewayv1.ReplayRequest{}
	var conversation string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "replay [MESSAGE]",
		Short: "Make a reply again from its trace and compare it byte for byte",
		Long: `Make a reply again from its trace, or all replies of a --conversation, and compare bytes: the same build, seed and parameters of
the language model over the same window, the same templates with the same values. Nothing is stored, and no provider is asked.
A reply that cannot be made again is told with its reason. The exit code is 0 if all are identical, else 1.`,
		Example: `  dbslm replay 0193e4a1-…
  dbslm replay --conversation 0193e4a1-… --json
  dbslm replay 0193e4a1-… --model harbour-copy`,
		Args: atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (conversation != "") {
				return usagef("name a reply, or all of a --conversation; see: %s --help", cmd.CommandPath())
			}
			req.Tenant = a.tenant
			return a.with(cmd.Context(), false, func(conn *connection) error {
				ids := args
				if conversation != "" {
					var err error
					if ids, err = a.replies(cmd.Context(), conn, conversation); err != nil {
						return err
					}
				}
				return a.replay(cmd.Context(), conn, req, ids, asJSON)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&conversation, "conversation", "", "all replies of the conversation with this `id`")
	flags.StringVar(&req.Model, "model", "", "`name` of a model to make them again with, such as a copy; empty is the one that wrote them")
	flags.Uint32Var(&req.NgramBuildId, "build", 0, "`number` of the build to make them again with; 0 is the one that wrote them")
	flags.BoolVar(&asJSON, "json", false, "print JSON, one object for each reply")
	return cmd
}

// replies are the ids of a conversation's replies, oldest first.
func (a *app) replies(ctx context.Context, conn *connection, conversation string) (ids []string, err error) {
	for token := ""; ; {
		page, err := conn.gateway.GetHistory(ctx, &gatewayv1.GetHistoryRequest{Tenant: a.tenant, ConversationId: conversation, PageSize: 1000, PageToken: token})
		if err != nil {
			return nil, err
		}
		for _, m := range page.Messages {
			if m.Sender == memoryv1.Sender_SENDER_ASSISTANT {
				ids = append(ids, m.MessageId)
			}
		}
		if token = page.NextPageToken; token == "" {
			return ids, nil
		}
	}
}

// replay replays and prints one line for each reply.
func (a *app) replay(ctx context.Context, conn *connection, req *gatewayv1.ReplayRequest, ids []string, asJSON bool) error {
	identical := 0
	for _, id := range ids {
		req.MessageId = id
		resp, err := conn.gateway.Replay(ctx, req)
		if err != nil {
			return err
		}
		r := replayed{
			Message: id, Identical: resp.Identical, Text: resp.Text, Stored: resp.StoredText, Reason: resp.Reason, Detail: resp.NotReplayable,
			Model: resp.Model, Build: resp.NgramBuildId,
		}
		if !r.Identical && r.Reason == "" {
			r.DiffersAt = &resp.DiffersAt
		}
		if resp.Identical {
			identical++
		}
		if !asJSON {
			fmt.Fprintf(a.out, "%s %s\n", id, r.line())
		} else if err := printJSON(a.out, r); err != nil {
			return err
		}
	}
	if identical < len(ids) {
		return errors.New(errors.Aborted, "NOT_IDENTICAL", "%d of %s identical", identical, plural(len(ids), "reply is", "replies are"))
	}
	return nil
}

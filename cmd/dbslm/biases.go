package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	memoryv1 "dbslm/proto/dbslm/memory/v1"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// biasSummary is a bias as it is printed.
type biasSummary struct {
	ID           string     `json:"id"`
	Scope        string     `json:"scope"`
	Conversation string     `json:"conversation,omitempty"`
	User         string     `json:"user,omitempty"`
	Model        string     `json:"model,omitempty"`
	Sequence     string     `json:"sequence"`
	Strength     float64    `json:"strength_log10"`
	Pattern      string     `json:"pattern,omitempty"`
	Then         string     `json:"then,omitempty"`
	Gap          uint32     `json:"gap,omitempty"`
	Regex        bool       `json:"regex,omitempty"`
	HalfLife     float64    `json:"half_life_seconds,omitempty"`
	Expires      *time.Time `json:"expires,omitempty"`
	Correction   string     `json:"correction,omitempty"`
	Created      time.Time  `json:"created"`
}

func summariseBias(b *memoryv1.Bias) biasSummary {
	s := biasSummary{
		ID: b.BiasId, Scope: nameOf(b.Scope, scopes), Conversation: b.ConversationId, User: b.UserId, Model: b.Model, Sequence: b.Sequence, Strength: b.StrengthLog10,
		Pattern: b.Pattern, Then: b.Then, Gap: b.Gap, Regex: b.Regex, HalfLife: b.HalfLife.AsDuration().Seconds(), Correction: b.CorrectionId, Created: b.CreateTime.AsTime(),
	}
	if b.ExpireTime != nil {
		at := b.ExpireTime.AsTime()
		s.Expires = &at
	}
	return s
}

// when says in a few words in which context a bias applies.
func (s biasSummary) when() string {
	switch {
	case s.Pattern == "":
		return "always"
	case s.Regex:
		return "/" + s.Pattern + "/"
	case s.Then != "" && s.Gap > 0:
		return fmt.Sprintf("%s … %s (%s)", s.Pattern, s.Then, plural(s.Gap, "word", "words"))
	case s.Then != "":
		return s.Pattern + " " + s.Then
	}
	return s.Pattern
}

func newBiases(a *app) *cobra.Command {
	var p scopeFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "biases",
		Short: "List, add and remove what a reply is drawn towards or kept from",
		Long: `A bias makes a text likelier or less likely where level 1 writes freely: in one conversation, for one person, or for
everybody who uses a model; always, or only where something was said.`,
		Example: "  dbslm biases\n  dbslm biases --user ana --json",
		Args:    knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error { return a.listBiases(cmd.Context(), conn, p, asJSON) })
		},
	}
	p.flags(cmd, "only those of")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(newBiasesAdd(a), newBiasesRemove(a))
	return cmd
}

func (a *app) listBiases(ctx context.Context, conn *connection, p scopeFlags, asJSON bool) error {
	list := []biasSummary{}
	client := memoryv1.NewBiasServiceClient(conn)
	for token := ""; ; {
		resp, err := client.ListBiases(ctx, &memoryv1.ListBiasesRequest{Tenant: a.tenant, ConversationId: p.conversation, PageSize: 500, PageToken: token})
		if err != nil {
			return err
		}
		for _, b := range resp.Biases {
			if (p.user == "" || b.UserId == p.user) && (p.model == "" || b.Model == p.model) {
				list = append(list, summariseBias(b))
			}
		}
		if token = resp.NextPageToken; token == "" {
			break
		}
	}
	if asJSON {
		return printJSON(a.out, list)
	}
	if len(list) == 0 {
		fmt.Fprintln(a.out, "no biases; add one with: dbslm biases add TEXT")
		return nil
	}
	rows := [][]string{{"BIAS", "SCOPE", "TEXT", "STRENGTH", "WHEN"}}
	for _, s := range list {
		rows = append(rows, []string{s.ID, s.Scope, oneLine(s.Sequence), strconv.FormatFloat(s.Strength, 'g', -1, 64), oneLine(s.when())})
	}
	return table(a.out, rows)
}

func newBiasesAdd(a *app) *cobra.Command {
	var p scopeFlags
	var b memoryv1.Bias
	var expires, half string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "add TEXT",
		Short: "Prefer or suppress a text in replies",
		Long: `Prefer or suppress a text wherever level 1 writes. The strength is in powers of ten: 2 makes the text a hundred times as
likely, -2 a hundredth.

With --pattern it applies only where the window or the message holds those words, whatever their case; with --then and
--gap also others after them, so many words later at most; with --regex the pattern is an RE2 expression over a message
as it was written.`,
		Example: `  dbslm biases add "old harbour" --strength 2 --user ana
  dbslm biases add Sydney --strength -3 --pattern capital --then Australia --gap 3 --model default
  dbslm biases add "42 euros" --strength 1 --pattern '(?i)what.*cost' --regex --model default --half-life 7d --expires 30d`,
		Args: oneArg("the text"),
		RunE: func(cmd *cobra.Command, args []string) error {
			scope, err := p.scope()
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("strength") {
				return usagef("--strength is needed: positive prefers the text, negative suppresses it")
			}
			b.Scope, b.ConversationId, b.UserId, b.Model, b.Sequence = scope, p.conversation, p.user, p.model, args[0]
			if half != "" {
				if b.HalfLife, err = parseKept("half-life", half); err != nil {
					return err
				}
			}
			if expires != "" {
				in, err := parseKept("expires", expires)
				if err != nil {
					return err
				}
				if in != nil {
					b.ExpireTime = timestamppb.New(time.Now().Add(in.AsDuration()))
				}
			}
			id, err := newRequestID()
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := memoryv1.NewBiasServiceClient(conn).CreateBias(cmd.Context(), &memoryv1.CreateBiasRequest{Tenant: a.tenant, RequestId: id, Bias: &b})
				if err != nil {
					return err
				}
				s := summariseBias(resp.Bias)
				if asJSON {
					return printJSON(a.out, s)
				}
				verb := "preferred"
				if s.Strength < 0 {
					verb = "suppressed"
				}
				fmt.Fprintf(a.out, "%s for this %s: %s; when: %s (bias %s)\n", verb, s.Scope, oneLine(s.Sequence), oneLine(s.when()), s.ID)
				return nil
			})
		},
	}
	p.flags(cmd, "it holds for")
	flags := cmd.Flags()
	flags.Float64Var(&b.StrengthLog10, "strength", 0, "how much, in `powers` of ten from -20 to 20")
	flags.StringVar(&b.Pattern, "pattern", "", "`words` that must have been said; empty for always")
	flags.StringVar(&b.Then, "then", "", "`words` that must follow the pattern")
	flags.Uint32Var(&b.Gap, "gap", 0, "at most so many `words` between them")
	flags.BoolVar(&b.Regex, "regex", false, "the pattern is an RE2 expression")
	flags.StringVar(&half, "half-life", "", "halve the strength every so `long`, as 7d or 12h")
	flags.StringVar(&expires, "expires", "", "end it so `long` from now, as 30d")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newBiasesRemove(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "remove ID",
		Short:   "Remove a bias",
		Example: "  dbslm biases remove 0193e4a1-…",
		Args:    oneArg("the bias's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				_, err := memoryv1.NewBiasServiceClient(conn).DeleteBias(cmd.Context(), &memoryv1.DeleteBiasRequest{Tenant: a.tenant, BiasId: args[0]})
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(a.out, removed{args[0]})
				}
				fmt.Fprintf(a.out, "removed bias %s\n", args[0])
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// removed is what was removed, as it is printed.
type removed struct {
	Removed string `json:"removed"`
}

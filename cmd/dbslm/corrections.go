package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"dbslm/pkg/errors"
	memoryv1 "dbslm/proto/dbslm/memory/v1"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// correctionSummary is a correction as it is printed, and a line of an export.
type correctionSummary struct {
	ID           string          `json:"id"`
	Scope        string          `json:"scope"`
	Conversation string          `json:"conversation,omitempty"`
	User         string          `json:"user,omitempty"`
	Model        string          `json:"model,omitempty"`
	ErrorContext string          `json:"error_context,omitempty"`
	Entity       string          `json:"entity,omitempty"`
	Attribute    string          `json:"attribute,omitempty"`
	Value        string          `json:"value"`
	Extra        json.RawMessage `json:"extra,omitempty"`
	Cue          string          `json:"cue,omitempty"`
	Times        uint32          `json:"times,omitempty"`
	Origin       string          `json:"origin,omitempty"`
	RecordedBy   string          `json:"recorded_by,omitempty"`
	ReviewedBy   string          `json:"reviewed_by,omitempty"`
	State        string          `json:"state"`
	SupersededBy string          `json:"superseded_by,omitempty"`
	RevokeReason string          `json:"revoke_reason,omitempty"`
	CorrectedBy  string          `json:"corrected_by,omitempty"` // the one that calls its value wrong and stands in its place, of a list
	Created      time.Time       `json:"created"`
	Ended        *time.Time      `json:"ended,omitempty"`
	subject      string
}

var scopes = map[string]memoryv1.Scope{
	"":             memoryv1.Scope_SCOPE_UNSPECIFIED,
	"conversation": memoryv1.Scope_SCOPE_CONVERSATION,
	"user":         memoryv1.Scope_SCOPE_USER,
	"model":        memoryv1.Scope_SCOPE_MODEL,
}

func summariseCorrection(k *memoryv1.Correction) correctionSummary {
	s := correctionSummary{
		ID: k.CorrectionId, Scope: nameOf(k.Scope, scopes), Conversation: k.ConversationId, User: k.UserId, Model: k.Model,
		ErrorContext: k.ErrorContext, Entity: k.Fact.GetEntity(), Attribute: k.Fact.GetAttribute(), Value: k.Fact.GetValue(),
		Extra: json.RawMessage(k.Fact.GetExtraJson()), Cue: k.Cue, Times: k.Times, Origin: k.Origin, RecordedBy: k.RecordedBy, ReviewedBy: k.ReviewedBy,
		State: "active", SupersededBy: k.SupersededBy, RevokeReason: k.RevokeReason, Created: k.CreateTime.AsTime(),
		subject: k.Subject,
	}
	ended := func(state string, at *timestamppb.Timestamp) {
		t := at.AsTime()
		s.State, s.Ended = state, &t
	}
	if k.SupersededBy != "" {
		ended("superseded", k.SupersedeTime)
	} else if k.RevokeTime != nil {
		ended("revoked", k.RevokeTime)
	}
	return s
}

// about says in a few words what a correction is about.
func (s correctionSummary) about() string {
	switch {
	case s.Entity != "" && s.Attribute != "":
		return s.Entity + " / " + s.Attribute
	case s.ErrorContext != "":
		return s.ErrorContext
	}
	return s.Entity + s.Attribute
}

// scopeFlags say where a command's corrections and facts belong.
type scopeFlags struct{ conversation, user, model string }

func (p *scopeFlags) flags(cmd *cobra.Command, what string) {
	cmd.Flags().StringVar(&p.conversation, "conversation", "", what+" the conversation with this `id`")
	cmd.Flags().StringVar(&p.user, "user", "", what+" the person of this `name`")
	cmd.Flags().StringVar(&p.model, "model", "", what+" the language model of this `name`")
}

// scope is the scope that the one flag names.
func (p *scopeFlags) scope() (memoryv1.Scope, error) {
	given := []memoryv1.Scope{}
	for _, f := range []struct {
		value string
		scope memoryv1.Scope
	}{{p.conversation, memoryv1.Scope_SCOPE_CONVERSATION}, {p.user, memoryv1.Scope_SCOPE_USER}, {p.model, memoryv1.Scope_SCOPE_MODEL}} {
		if f.value != "" {
			given = append(given, f.scope)
		}
	}
	if len(given) != 1 {
		return 0, usagef("say where it holds, with one of --conversation ID, --user NAME and --model NAME")
	}
	return given[0], nil
}

func newCorrections(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "corrections",
		Short: "List, show, revoke, promote, export and import corrections",
		Long: `A correction applies to every later answer in its scope – a conversation, a person, a model – until another one of the same
subject supersedes it or somebody revokes it. One that calls its value wrong stands in its place for as long as it is active
itself. What was recorded is never rewritten.`,
		Example: `  dbslm corrections list --user ana
  dbslm corrections revoke 0193e4a1-…`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCorrectionsList(a), newCorrectionsShow(a), newCorrectionsRevoke(a), newCorrectionsPromote(a), newCorrectionsExport(a), newCorrectionsImport(a))
	return cmd
}

func (a *app) eachCorrection(ctx context.Context, conn *connection, p scopeFlags, ended bool, f func(*memoryv1.Correction) error) error {
	client := memoryv1.NewCorrectionServiceClient(conn)
	for token := ""; ; {
		resp, err := client.ListCorrections(ctx, &memoryv1.ListCorrectionsRequest{
			Tenant: a.tenant, ConversationId: p.conversation, UserId: p.user, Model: p.model, IncludeEnded: ended, PageSize: 500, PageToken: token,
		})
		if err != nil {
			return err
		}
		for _, k := range resp.Corrections {
			if err := f(k); err != nil {
				return err
			}
		}
		if token = resp.NextPageToken; token == "" {
			return nil
		}
	}
}

// findChains notes of each active correction of a list, newest first, which newer one of its scope calls its value wrong.
func findChains(list []correctionSummary) {
	type fact struct{ scope, conversation, user, model, subject string }
	newest := map[fact]string{} // the correction that calls the value of this one wrong, or of one that did
	for i, s := range list {
		if s.State != "active" {
			continue
		}
		at := fact{s.Scope, "", s.User, s.Model, s.subject}
		if s.Scope == "conversation" {
			at.conversation = s.Conversation
		}
		list[i].CorrectedBy = newest[at]
		for {
			end := strings.LastIndex(at.subject, " => ")
			if end < 0 {
				break
			}
			if at.subject = at.subject[:end]; newest[at] == "" {
				newest[at] = s.ID
			}
		}
	}
}

func newCorrectionsList(a *app) *cobra.Command {
	var p scopeFlags
	var ended, asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List corrections, newest first",
		Example: "  dbslm corrections list\n  dbslm corrections list --user ana --all --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				list := []correctionSummary{}
				err := a.eachCorrection(cmd.Context(), conn, p, ended, func(k *memoryv1.Correction) error {
					list = append(list, summariseCorrection(k))
					return nil
				})
				if err != nil {
					return err
				}
				findChains(list)
				if asJSON {
					return printJSON(a.out, list)
				}
				if len(list) == 0 {
					fmt.Fprintln(a.out, "no corrections")
					return nil
				}
				rows := [][]string{{"CORRECTION", "SCOPE", "ABOUT", "VALUE", "STATE"}}
				for _, s := range list {
					state := s.State
					if s.CorrectedBy != "" {
						state += ", corrected by " + s.CorrectedBy
					}
					rows = append(rows, []string{s.ID, s.Scope, oneLine(s.about()), oneLine(s.Value), state})
				}
				return table(a.out, rows)
			})
		},
	}
	p.flags(cmd, "only those of")
	cmd.Flags().BoolVar(&ended, "all", false, "also those that were superseded or revoked")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newCorrectionsShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "show ID",
		Short:   "Show one correction as JSON",
		Example: "  dbslm corrections show 0193e4a1-…",
		Args:    oneArg("the correction's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := memoryv1.NewCorrectionServiceClient(conn).GetCorrection(cmd.Context(), &memoryv1.GetCorrectionRequest{Tenant: a.tenant, CorrectionId: args[0]})
				if err != nil {
					return err
				}
				return printJSON(a.out, summariseCorrection(resp.Correction))
			})
		},
	}
}

func newCorrectionsRevoke(a *app) *cobra.Command {
	var reason string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "revoke ID",
		Short:   "End a correction; it stays readable",
		Example: `  dbslm corrections revoke 0193e4a1-… --reason "it was right before"`,
		Args:    oneArg("the correction's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := memoryv1.NewCorrectionServiceClient(conn).RevokeCorrection(cmd.Context(), &memoryv1.RevokeCorrectionRequest{
					Tenant: a.tenant, CorrectionId: args[0], Reason: reason,
				})
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(a.out, summariseCorrection(resp.Correction))
				}
				fmt.Fprintf(a.out, "revoked: %s (%s)\n", oneLine(resp.Correction.GetFact().GetValue()), resp.Correction.CorrectionId)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "`text` that says why")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newCorrectionsPromote(a *app) *cobra.Command {
	var scope, model, reviewer string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "promote ID",
		Short: "Copy a correction into a wider scope, after review",
		Example: `  dbslm corrections promote 0193e4a1-… --to user --reviewed-by ana
  dbslm corrections promote 0193e4a1-… --to model --model default --reviewed-by ana`,
		Args: oneArg("the correction's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := parseName("to", scope, scopes)
			if err != nil {
				return err
			}
			if to != memoryv1.Scope_SCOPE_USER && to != memoryv1.Scope_SCOPE_MODEL {
				return usagef("--to is needed: user or model")
			}
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := memoryv1.NewCorrectionServiceClient(conn).PromoteCorrection(cmd.Context(), &memoryv1.PromoteCorrectionRequest{
					Tenant: a.tenant, CorrectionId: args[0], Scope: to, Model: model, ReviewedBy: reviewer,
				})
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(a.out, summariseCorrection(resp.Correction))
				}
				fmt.Fprintf(a.out, "promoted to %s: %s (correction %s)\n", nameOf(resp.Correction.Scope, scopes), oneLine(resp.Correction.GetFact().GetValue()), resp.Correction.CorrectionId)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&scope, "to", "", "wider `scope`: user or model")
	cmd.Flags().StringVar(&model, "model", "", "`name` of the language model, for --to model")
	cmd.Flags().StringVar(&reviewer, "reviewed-by", "", "`name` of who reviewed it")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newCorrectionsExport(a *app) *cobra.Command {
	var p scopeFlags
	var ended bool
	cmd := &cobra.Command{
		Use:     "export",
		Short:   "Write corrections to standard output, one JSON object a line",
		Example: "  dbslm corrections export > corrections.ndjson\n  dbslm corrections export --model default --all",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				out := bufio.NewWriter(a.out)
				encoder := json.NewEncoder(out)
				encoder.SetEscapeHTML(false)
				err := a.eachCorrection(cmd.Context(), conn, p, ended, func(k *memoryv1.Correction) error { return encoder.Encode(summariseCorrection(k)) })
				if err != nil {
					return err
				}
				return out.Flush()
			})
		},
	}
	p.flags(cmd, "only those of")
	cmd.Flags().BoolVar(&ended, "all", false, "also those that were superseded or revoked")
	return cmd
}

func newCorrectionsImport(a *app) *cobra.Command {
	var p scopeFlags
	var origin string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Record exported corrections of another store",
		Long: `Record the active corrections of an export under the name of where they come from. They never outrank what was corrected here:
of one subject they count as superseded at once. Importing twice changes nothing. A file with a mistake imports nothing.`,
		Example: `  dbslm corrections import corrections.ndjson --origin "help desk"
  dbslm corrections import - --origin "help desk" --model default < corrections.ndjson`,
		Args: oneArg("the file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if origin == "" {
				return usagef("--origin is needed: a name for where the corrections come from")
			}
			requests, skipped, err := a.readImport(cmd.Context(), args[0], origin, p)
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), false, func(conn *connection) error {
				client := memoryv1.NewCorrectionServiceClient(conn)
				outranked := 0
				for i, req := range requests {
					resp, err := client.RecordCorrection(cmd.Context(), req)
					if err != nil {
						fmt.Fprintf(a.err, "%s; import the file again to go on\n", plural(i, "correction was imported", "corrections were imported"))
						return err
					}
					if !resp.Correction.Active {
						outranked++
					}
				}
				if asJSON {
					return printJSON(a.out, importedCorrections{origin, len(requests), len(requests) - outranked, skipped})
				}
				fmt.Fprintf(a.out, "from %q: %s, %s in effect; ended ones left out: %s\n", origin, plural(len(requests), "correction", "corrections"),
					count(len(requests)-outranked), count(skipped))
				return nil
			})
		},
	}
	p.flags(cmd, "record them for")
	cmd.Flags().StringVar(&origin, "origin", "", "`name` of where they come from")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// importedCorrections is an import as it is printed.
type importedCorrections struct {
	Origin   string `json:"origin"`
	Recorded int    `json:"recorded"`
	InEffect int    `json:"in_effect"`
	LeftOut  int    `json:"left_out"` // ended ones
}

// maxImportLine is the longest line of an import, in bytes: what one correction may hold.
const maxImportLine = 1 << 20

// readImport reads all lines before anything is recorded.
func (a *app) readImport(ctx context.Context, path, origin string, to scopeFlags) (requests []*memoryv1.RecordCorrectionRequest, skipped int, err error) {
	in, err := a.openNamed(ctx, path)
	if err != nil {
		return nil, 0, err
	}
	defer in.Close()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxImportLine)
	number := 0
	for lines.Scan() {
		number++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var s correctionSummary
		decoder := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		if err := decoder.Decode(&s); err != nil {
			return nil, 0, usagef("%s, line %d is no exported correction: %v", path, number, err)
		}
		if s.ID == "" || strings.TrimSpace(s.Value) == "" {
			return nil, 0, usagef("%s, line %d is no exported correction: it needs id and value", path, number)
		}
		if s.State != "" && s.State != "active" {
			skipped++
			continue
		}
		req, err := s.request(a.tenant, origin, to)
		if err != nil {
			return nil, 0, usagef("%s, line %d: %v", path, number, err)
		}
		requests = append(requests, req)
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return nil, 0, usagef("%s, line %d is longer than 1 MiB; no correction is", path, number+1)
		}
		return nil, 0, usagef("%s cannot be read: %v", path, reason(err))
	}
	// An export is newest first; the oldest is recorded first, so that the newest of a subject holds here too.
	for i, j := 0, len(requests)-1; i < j; i, j = i+1, j-1 {
		requests[i], requests[j] = requests[j], requests[i]
	}
	return requests, skipped, nil
}

// request records an exported correction here. Equal lines have equal request ids.
func (s correctionSummary) request(tenant, origin string, to scopeFlags) (*memoryv1.RecordCorrectionRequest, error) {
	scope, err := parseName("scope", s.Scope, scopes)
	if err != nil {
		return nil, err
	}
	if to == (scopeFlags{}) {
		to = scopeFlags{s.Conversation, s.User, s.Model}
	} else if scope, err = to.scope(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{origin, s.ID, scope.String(), to.conversation, to.user, to.model}, "\x00")))
	return &memoryv1.RecordCorrectionRequest{
		Tenant: tenant, RequestId: "import:" + hex.EncodeToString(sum[:16]), Scope: scope, ConversationId: to.conversation, UserId: to.user, Model: to.model,
		ErrorContext: s.ErrorContext, Cue: s.Cue, RecordedBy: s.RecordedBy, Origin: origin,
		Fact: &memoryv1.CorrectedFact{Entity: s.Entity, Attribute: s.Attribute, Value: s.Value, ExtraJson: string(s.Extra)},
	}, nil
}

package main

import (
	"fmt"
	"strconv"
	"time"

	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// signalSummary is a signal as it is printed.
type signalSummary struct {
	ID           string     `json:"id"`
	Conversation string     `json:"conversation"`
	Bot          string     `json:"bot"`
	Concept      string     `json:"concept"`
	Score        float64    `json:"score"`
	Payload      string     `json:"payload,omitempty"`
	State        string     `json:"state"`
	Turn         string     `json:"turn,omitempty"` // that claimed or spoke it
	Created      time.Time  `json:"created"`
	Due          *time.Time `json:"due,omitempty"`     // absent for at once
	Repeat       string     `json:"repeat,omitempty"`  // time between two; absent for once
	Expires      *time.Time `json:"expires,omitempty"` // absent for never
}

// moment is a time as it is listed.
func moment(t *time.Time, none string) string {
	if t == nil {
		return none
	}
	return t.UTC().Format(time.DateTime)
}

// signalStates are the states as they are printed.
var signalStates = map[conceptv1.Signal_State]string{
	conceptv1.Signal_STATE_WAITING:   "waiting",
	conceptv1.Signal_STATE_CLAIMED:   "claimed",
	conceptv1.Signal_STATE_CONFIRMED: "spoken",
	conceptv1.Signal_STATE_CANCELLED: "cancelled",
	conceptv1.Signal_STATE_EXPIRED:   "expired",
}

func summariseSignal(s *conceptv1.Signal) signalSummary {
	out := signalSummary{
		ID: s.SignalId, Conversation: s.ConversationId, Bot: s.Bot, Concept: s.Concept, Score: s.Score, Payload: s.PayloadJson,
		State: signalStates[s.State], Turn: s.TurnId, Created: s.CreateTime.AsTime(),
	}
	if s.ExpireTime != nil {
		at := s.ExpireTime.AsTime()
		out.Expires = &at
	}
	if s.DueTime != nil {
		at := s.DueTime.AsTime()
		out.Due = &at
	}
	if s.Repeat != nil {
		out.Repeat = s.Repeat.AsDuration().String()
	}
	return out
}

func newSignals(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "signals",
		Short: "Have concepts speak in a conversation: push, list and cancel signals",
		Long: `A signal asks that a concept speaks in the next reply of a conversation. It is in at most one stored reply; until it
has spoken it waits, as long as it was given time. It may be due later, and again and again.`,
		Example: `  dbslm signals push OpeningHours --conversation 0193e4a1-…
  dbslm signals list --conversation 0193e4a1-…
  dbslm signals cancel 0193e4a1-…`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSignalsPush(a), newSignalsList(a), newSignalsCancel(a))
	return cmd
}

func newSignalsPush(a *app) *cobra.Command {
	var conversation, bot, payload, requestID string
	var score float64
	var ttl time.Duration
	var due dueFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "push CONCEPT",
		Short: "Have a concept speak in the next reply of a conversation",
		Example: `  dbslm signals push OpeningHours --conversation 0193e4a1-…
  dbslm signals push Reminder --conversation 0193e4a1-… --payload '{"tool":"ladder"}' --score 5 --expires 2h
  dbslm signals push Reminder --conversation 0193e4a1-… --in 45m
  dbslm signals push Reminder --conversation 0193e4a1-… --at "2026-12-01 09:00" --every 24h --expires 8h`,
		Args: oneArg("the concept"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case conversation == "":
				return usagef("--conversation is needed: a signal is for one conversation; dbslm history lists them")
			case !(score > 0 && score <= 1e6):
				return usagef("--score %g is not above 0 and at most 1000000", score)
			case ttl < time.Second || ttl > 365*24*time.Hour || ttl%time.Second != 0:
				return usagef("--expires %v is not between 1s and 8760h in whole seconds", ttl)
			}
			delay, at, every, err := due.parse(time.Now())
			if err != nil {
				return err
			}
			if every != nil && ttl > every.AsDuration() {
				return usagef("--expires %v is longer than --every %v: a repeated signal must expire before it is due again", ttl, every.AsDuration())
			}
			if requestID == "" {
				id, err := newRequestID()
				if err != nil {
					return err
				}
				requestID = id
			}
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := gatewayv1.NewGatewayServiceClient(conn).PushSignal(cmd.Context(), &gatewayv1.PushSignalRequest{
					Tenant: a.tenant, RequestId: requestID, ConversationId: conversation, Bot: bot, Concept: args[0], Score: score,
					TtlSeconds: uint32(ttl / time.Second), PayloadJson: payload,
					Delay: delay, DueTime: at, Repeat: every,
				})
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(a.out, map[string]string{"id": resp.SignalId})
				}
				when := "in the next reply"
				switch {
				case delay != nil:
					when += " after " + delay.AsDuration().String()
				case at != nil:
					when += " after " + at.AsTime().Format(time.DateTime) + " UTC"
				}
				fmt.Fprintf(a.out, "pushed: %s speaks %s (signal %s)\n", args[0], when, resp.SignalId)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&conversation, "conversation", "", "`id` of the conversation")
	cmd.Flags().StringVar(&payload, "payload", "", "values of slots as a JSON `object`; they win over every other source")
	cmd.Flags().Float64Var(&score, "score", 1, "urgency: the highest speaks first; up to 1000000")
	cmd.Flags().DurationVar(&ttl, "expires", 5*time.Minute, "how long it waits, from when it is due")
	due.flags(cmd)
	cmd.Flags().StringVar(&requestID, "request-id", "", "`id` of this push; the same id again pushes nothing twice")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	botFlag(cmd, &bot)
	return cmd
}

// dueFlags say when a signal is due.
type dueFlags struct{ in, at, every string }

func (d *dueFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.in, "in", "", "let it be due after so `long`, such as 45m or 2d")
	cmd.Flags().StringVar(&d.at, "at", "", "let it be due at a `time`, such as \"2026-12-01 09:00\" here or 2026-12-01T09:00:00Z")
	cmd.Flags().StringVar(&d.every, "every", "", "let it be due again after so `long`, once it has spoken or expired; cancelling ends it")
}

// parse reads the flags; what was not given is nil.
func (d *dueFlags) parse(now time.Time) (delay *durationpb.Duration, at *timestamppb.Timestamp, every *durationpb.Duration, err error) {
	if d.in != "" && d.at != "" {
		return nil, nil, nil, usagef("--in and --at exclude each other")
	}
	long := func(flag, text string) (*durationpb.Duration, error) {
		if text == "" {
			return nil, nil
		}
		long, err := parseKept(flag, text)
		if err != nil || long == nil {
			return nil, usagef("--%s %q is no time; use for example 45m, 2h or 3d", flag, text)
		}
		return long, nil
	}
	if delay, err = long("in", d.in); err != nil {
		return nil, nil, nil, err
	}
	if every, err = long("every", d.every); err != nil {
		return nil, nil, nil, err
	}
	if d.at == "" {
		return delay, nil, every, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04"} {
		if t, parseErr := time.ParseInLocation(layout, d.at, time.Local); parseErr == nil {
			if !t.After(now) {
				return nil, nil, nil, usagef("--at %q has passed", d.at)
			}
			return nil, timestamppb.New(t), every, nil
		}
	}
	return nil, nil, nil, usagef("--at %q is no time; use for example \"2026-12-01 09:00\" or 2026-12-01T09:00:00Z", d.at)
}

func newSignalsList(a *app) *cobra.Command {
	var conversation string
	var ended, asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the signals of a conversation, in the order in which they would speak",
		Example: `  dbslm signals list --conversation 0193e4a1-…
  dbslm signals list --conversation 0193e4a1-… --all --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if conversation == "" {
				return usagef("--conversation is needed: signals are listed by conversation; dbslm history lists those")
			}
			return a.with(cmd.Context(), false, func(conn *connection) error {
				// Level 3 knows no conversations: a mistyped id would have no signals.
				_, err := memoryv1.NewConversationServiceClient(conn).GetConversation(cmd.Context(), &memoryv1.GetConversationRequest{
					Tenant: a.tenant, ConversationId: conversation,
				})
				if err != nil {
					return err
				}
				list := []signalSummary{}
				client := conceptv1.NewSignalServiceClient(conn)
				for token := ""; ; {
					resp, err := client.ListSignals(cmd.Context(), &conceptv1.ListSignalsRequest{
						Tenant: a.tenant, ConversationId: conversation, IncludeEnded: ended, PageSize: 500, PageToken: token,
					})
					if err != nil {
						return err
					}
					for _, s := range resp.Signals {
						list = append(list, summariseSignal(s))
					}
					if token = resp.NextPageToken; token == "" {
						break
					}
				}
				if asJSON {
					return printJSON(a.out, list)
				}
				if len(list) == 0 {
					fmt.Fprintln(a.out, "no signals; push one with: dbslm signals push CONCEPT --conversation ID")
					return nil
				}
				rows := [][]string{{"SIGNAL", "CONCEPT", "SCORE", "STATE", "DUE", "EXPIRES", "PAYLOAD"}}
				for _, s := range list {
					rows = append(rows, []string{s.ID, s.Concept, strconv.FormatFloat(s.Score, 'g', -1, 64), s.State, moment(s.Due, "now"), moment(s.Expires, "never"), oneLine(s.Payload)})
				}
				return table(a.out, rows)
			})
		},
	}
	cmd.Flags().StringVar(&conversation, "conversation", "", "`id` of the conversation")
	cmd.Flags().BoolVar(&ended, "all", false, "also those that spoke, were cancelled or expired")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newSignalsCancel(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "cancel ID",
		Short:   "Take back a signal that has not spoken",
		Example: "  dbslm signals cancel 0193e4a1-…",
		Args:    oneArg("the signal's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := conceptv1.NewSignalServiceClient(conn).CancelSignal(cmd.Context(), &conceptv1.CancelSignalRequest{Tenant: a.tenant, SignalId: args[0]})
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(a.out, summariseSignal(resp.Signal))
				}
				fmt.Fprintf(a.out, "cancelled: %s (signal %s)\n", resp.Signal.Concept, resp.Signal.SignalId)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

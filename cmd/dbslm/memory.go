package main

import (
	"context"
	"fmt"
	"time"

	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
)

// newRequestID names a request that is made once.
func newRequestID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", errors.Wrap(err, errors.Unavailable, "NO_RANDOMNESS", "no id could be made; try again")
	}
	return id.String(), nil
}

// messageSummary is a message as it is printed.
type messageSummary struct {
	ID           string    `json:"id"`
	Conversation string    `json:"conversation"`
	Seq          uint64    `json:"seq"`
	Sender       string    `json:"sender"`
	Text         string    `json:"text"`
	FinishReason string    `json:"finish_reason,omitempty"`
	Time         time.Time `json:"time"`
}

func summariseMessage(m *memoryv1.Message) messageSummary {
	return messageSummary{m.MessageId, m.ConversationId, m.Seq, senderName(m.Sender), m.Content, m.FinishReason, m.CreateTime.AsTime()}
}

func senderName(s memoryv1.Sender) string {
	if s == memoryv1.Sender_SENDER_ASSISTANT {
		return "Assistant"
	}
	return "User"
}

func newHistory(a *app) *cobra.Command {
	var user, search string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "history [CONVERSATION]",
		Short: "Show a conversation, or list conversations, or find messages by their words",
		Example: `  dbslm history --user ana
  dbslm history 0193e4a1-…
  dbslm history --search "opening hours"`,
		Args: atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			conversation := ""
			if len(args) == 1 {
				conversation = args[0]
			}
			if user != "" && (conversation != "" || search != "") {
				return usagef("--user lists conversations; leave out the conversation and --search")
			}
			return a.with(cmd.Context(), false, func(conn *connection) error {
				if conversation == "" && search == "" {
					return a.listConversations(cmd.Context(), conn, user, asJSON)
				}
				return a.listMessages(cmd.Context(), conn, conversation, search, asJSON)
			})
		},
	}
	cmd.Flags().StringVar(&user, "user", "", "only conversations of the person of this `name`")
	cmd.Flags().StringVar(&search, "search", "", "only messages that hold these `words`, newest first")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) listConversations(ctx context.Context, conn *connection, user string, asJSON bool) error {
	type summary struct {
		ID       string    `json:"id"`
		User     string    `json:"user"`
		Agent    string    `json:"agent"`
		Title    string    `json:"title,omitempty"`
		Messages uint64    `json:"messages"`
		Archived bool      `json:"archived,omitempty"`
		Updated  time.Time `json:"updated"`
	}
	list := []summary{}
	client := memoryv1.NewConversationServiceClient(conn)
	for token := ""; ; {
		resp, err := client.ListConversations(ctx, &memoryv1.ListConversationsRequest{Tenant: a.tenant, UserId: user, IncludeArchived: true, PageSize: 500, PageToken: token})
		if err != nil {
			return err
		}
		for _, c := range resp.Conversations {
			list = append(list, summary{c.ConversationId, c.UserId, c.AgentId, c.Title, c.Messages, c.Archived, c.UpdateTime.AsTime()})
		}
		if token = resp.NextPageToken; token == "" {
			break
		}
	}
	if asJSON {
		return printJSON(a.out, list)
	}
	if len(list) == 0 {
		fmt.Fprintln(a.out, "no conversations; hold one with: dbslm chat")
		return nil
	}
	rows := [][]string{{"CONVERSATION", "USER", "MESSAGES", "LAST", "TITLE"}}
	for _, c := range list {
		rows = append(rows, []string{c.ID, c.User, count(c.Messages), c.Updated.Format("2006-01-02 15:04:05"), oneLine(c.Title)})
	}
	return table(a.out, rows)
}

// listMessages prints messages as they come, a page at a time.
func (a *app) listMessages(ctx context.Context, conn *connection, conversation, search string, asJSON bool) error {
	client := memoryv1.NewConversationServiceClient(conn)
	read := func(token string) ([]*memoryv1.Message, string, error) {
		if search != "" {
			resp, err := client.SearchMessages(ctx, &memoryv1.SearchMessagesRequest{Tenant: a.tenant, Query: search, ConversationId: conversation, PageToken: token})
			return resp.GetMessages(), resp.GetNextPageToken(), err
		}
		resp, err := client.ListMessages(ctx, &memoryv1.ListMessagesRequest{Tenant: a.tenant, ConversationId: conversation, PageSize: 500, PageToken: token})
		return resp.GetMessages(), resp.GetNextPageToken(), err
	}
	list := []messageSummary{}
	shown := 0
	for token := ""; ; {
		page, next, err := read(token)
		if err != nil {
			return err
		}
		for _, m := range page {
			shown++
			switch {
			case asJSON:
				list = append(list, summariseMessage(m))
			case search != "" && conversation == "":
				fmt.Fprintf(a.out, "%s %s: %s\n", m.ConversationId, senderName(m.Sender), m.Content)
			default:
				fmt.Fprintf(a.out, "%s: %s\n", senderName(m.Sender), m.Content)
			}
		}
		if token = next; token == "" {
			break
		}
	}
	if asJSON {
		return printJSON(a.out, list)
	}
	if shown == 0 {
		fmt.Fprintln(a.out, map[bool]string{true: "no message holds these words", false: "(nothing was said yet)"}[search != ""])
	}
	return nil
}

func newCorrect(a *app) *cobra.Command {
	var p scopeFlags
	var entity, attribute, message, bot string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "correct [WRONG] RIGHT",
		Short: "Record a correction",
		Long: `Record what is right, instead of what was said wrongly or as the value of a fact. It applies from the next answer on, in one
conversation, for one person, or for everybody who uses a model.`,
		Example: `  dbslm correct Sydney Canberra --conversation 0193e4a1-…
  dbslm correct --entity Australia --attribute capital Canberra --user ana`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usagef("what is right is missing; see: %s --help", cmd.CommandPath())
			case len(args) > 2:
				return noArgs(cmd, args[2:])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			wrong, right := "", args[len(args)-1]
			if len(args) == 2 {
				wrong = args[0]
			}
			if wrong == "" && entity == "" && attribute == "" {
				return usagef("say what was wrong, or what it is about with --entity and --attribute")
			}
			scope, err := p.scope()
			if err != nil {
				return err
			}
			id, err := newRequestID()
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := conn.gateway.Correct(cmd.Context(), &gatewayv1.CorrectRequest{Bot: bot, Correction: &memoryv1.RecordCorrectionRequest{
					Tenant: a.tenant, RequestId: id, Scope: scope, ConversationId: p.conversation, UserId: p.user, Model: p.model, ErrorMessageId: message,
					ErrorContext: wrong, Fact: &memoryv1.CorrectedFact{Entity: entity, Attribute: attribute, Value: right},
				}})
				if err != nil {
					return err
				}
				s := summariseCorrection(resp.Correction)
				if asJSON {
					return printJSON(a.out, correctSummary{s, resp.SupersededIds, resp.Warnings})
				}
				fmt.Fprintf(a.out, "recorded for this %s: %s → %s (correction %s)\n", s.Scope, oneLine(s.about()), oneLine(s.Value), s.ID)
				for _, id := range resp.SupersededIds {
					fmt.Fprintf(a.out, "superseded: correction %s\n", id)
				}
				for _, w := range resp.Warnings {
					fmt.Fprintf(a.err, "warning: %s\n", w)
				}
				return nil
			})
		},
	}
	p.flags(cmd, "it holds for")
	cmd.Flags().StringVar(&entity, "entity", "", "`what` it is about, such as Australia")
	cmd.Flags().StringVar(&attribute, "attribute", "", "which `property`, such as capital")
	cmd.Flags().StringVar(&message, "message", "", "`id` of the reply that was wrong, in --conversation")
	cmd.Flags().StringVar(&bot, "bot", "", "`name` of the bot that says so in the next reply (default \"default\")")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// correctSummary is a new correction as it is printed.
type correctSummary struct {
	correctionSummary
	Superseded []string `json:"superseded,omitempty"`
	Warnings   []string `json:"warnings,omitempty"`
}

package main

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"

	"github.com/google/uuid"
)

// chatCommand is one command of a conversation.
type chatCommand struct {
	name, arguments, help string
}

var chatCommands = []chatCommand{
	{":history", "", "show the window that the next reply may see"},
	{":correct", "wrong => right", "record a correction"},
	{":help", "", "show these commands"},
	{":quit", "", "leave (also :exit)"},
}

func commandNames() []string {
	var names []string
	for _, c := range chatCommands {
		names = append(names, strings.TrimSpace(c.name+" "+c.arguments))
	}
	return names
}

// command runs one command line and says whether it ends the conversation.
func (c *chat) command(ctx context.Context, line string) (leave bool, err error) {
	name, arguments := line, ""
	if i := strings.IndexFunc(line, unicode.IsSpace); i >= 0 {
		name, arguments = line[:i], line[i:]
	}
	switch name {
	case ":exit", ":quit":
		return true, nil
	case ":help":
		rows := [][]string{}
		for _, command := range chatCommands {
			rows = append(rows, []string{strings.TrimSpace(command.name + " " + command.arguments), command.help})
		}
		return false, table(c.out, rows)
	case ":history":
		return false, c.history(ctx)
	case ":correct":
		return false, c.correct(ctx, arguments)
	default:
		return false, usagef("unknown command %s; :help lists them", name)
	}
}

// history prints the window, as memory hands it to a reply.
func (c *chat) history(ctx context.Context) error {
	resp, err := memoryv1.NewConversationServiceClient(c.conn).GetWindow(ctx, &memoryv1.GetWindowRequest{
		Tenant: c.tenant, ConversationId: c.conversation.ConversationId,
	})
	if err != nil {
		return err
	}
	if len(resp.Window.GetMessages()) == 0 {
		fmt.Fprintln(c.out, "(nothing was said yet)")
	}
	if n := resp.Window.GetOmittedMessages(); n > 0 {
		fmt.Fprintf(c.out, "(%s left out)\n", plural(n, "older message", "older messages"))
	}
	for _, m := range resp.Window.GetMessages() {
		speaker := "User"
		if m.Sender == memoryv1.Sender_SENDER_ASSISTANT {
			speaker = "Assistant"
		}
		fmt.Fprintf(c.out, "%s: %s\n", speaker, m.Content)
	}
	return nil
}

// correct records "wrong => right" for this conversation.
func (c *chat) correct(ctx context.Context, arguments string) error {
	wrong, right, ok := strings.Cut(arguments, "=>")
	wrong, right = strings.TrimSpace(wrong), strings.TrimSpace(right)
	if !ok || wrong == "" || right == "" {
		return usagef("say what was wrong and what is right: :correct wrong => right")
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	resp, err := c.conn.gateway.Correct(ctx, &gatewayv1.CorrectRequest{
		Bot: c.options.bot,
		Correction: &memoryv1.RecordCorrectionRequest{
			Tenant: c.tenant, RequestId: id.String(), ConversationId: c.conversation.ConversationId,
			ErrorContext: wrong, Fact: &memoryv1.CorrectedFact{Value: right},
		},
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "recorded: %s instead of %s (correction %s)\n", right, wrong, resp.Correction.CorrectionId)
	for _, w := range resp.Warnings {
		fmt.Fprintf(c.err, "warning: %s\n", w)
	}
	return nil
}

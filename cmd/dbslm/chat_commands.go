package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"dbslm/pkg/text"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
)

// chatCommand is one command of a conversation.
type chatCommand struct {
	name, arguments, help string
}

var chatCommands = []chatCommand{
	{":history", "", "show the window that the next reply may see"},
	{":correct", "wrong => right", "record a correction"},
	{":facts", "", "list what was told as a fact"},
	{":forget", "number|everything", "retire a fact of :facts, or erase this conversation and leave"},
	{":why", "[reply]", "say in a few lines why the last reply, or the one with this id, was said"},
	{":explain", "[reply]", "explain it down to the rows"},
	{":replay", "[reply]", "make it again and compare it byte for byte"},
	{":seed", "[number|random]", "show from which number replies are drawn, or set it"},
	{":model", "[name]", "show which model answers, or set it"},
	{":profile", "[name]", "show which decode profile is used, or set it"},
	{":help", "", "show these commands"},
	{":quit", "", "leave (also :exit)"},
}

func commandNames() []string {
	var names []string
	for _, c := range chatCommands {
		names = append(names, c.name)
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
	case ":facts":
		_, err := c.facts(ctx)
		return false, err
	case ":forget":
		return c.forget(ctx, strings.TrimSpace(arguments))
	case ":why", ":explain", ":replay":
		return false, c.about(ctx, name, strings.TrimSpace(arguments))
	case ":seed", ":model", ":profile":
		return false, c.set(ctx, name, strings.TrimSpace(arguments))
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
		fmt.Fprintf(c.out, "%s: %s\n", speaker, cmp.Or(m.Content, "(nothing: "+m.FinishReason+")"))
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
	id, err := newRequestID()
	if err != nil {
		return err
	}
	reply, err := c.replyWith(ctx, wrong)
	if err != nil {
		return err
	}
	resp, err := c.conn.gateway.Correct(ctx, &gatewayv1.CorrectRequest{
		Bot: c.options.bot,
		Correction: &memoryv1.RecordCorrectionRequest{
			Tenant: c.tenant, RequestId: id, ErrorMessageId: reply, ConversationId: c.conversation.ConversationId,
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

// replyWith returns the id of the latest reply in the window that holds a text, or of the latest one; empty when there is none.
// What the person had asked then tells memory which later questions a correction is about.
func (c *chat) replyWith(ctx context.Context, wrong string) (id string, err error) {
	var holding, latest string
	resp, err := memoryv1.NewConversationServiceClient(c.conn).GetWindow(ctx, &memoryv1.GetWindowRequest{
		Tenant: c.tenant, ConversationId: c.conversation.ConversationId,
	})
	if err != nil {
		return "", err
	}
	for _, m := range resp.Window.GetMessages() {
		if m.Sender != memoryv1.Sender_SENDER_ASSISTANT {
			continue
		}
		latest = m.MessageId
		if strings.Contains(text.FoldKey(m.Content), text.FoldKey(wrong)) {
			holding = m.MessageId
		}
	}
	return cmp.Or(holding, latest), nil
}

// facts lists, with numbers, what holds in the conversation.
func (c *chat) facts(ctx context.Context) ([]factSummary, error) {
	list, err := c.readFacts(ctx, c.conn, c.conversation.ConversationId, "", false)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		fmt.Fprintln(c.out, "(no facts were told; dbslm remember tells one)")
	}
	for i, f := range list {
		fmt.Fprintf(c.out, "%d. %s / %s = %s\n", i+1, f.Entity, f.Attribute, oneLine(f.Value))
	}
	return list, nil
}

// forget retires a fact by its number, or erases the conversation, which ends it.
func (c *chat) forget(ctx context.Context, what string) (leave bool, err error) {
	if what == "everything" {
		id, err := newRequestID()
		if err != nil {
			return false, err
		}
		rows, _, err := c.erase(ctx, c.conn, &memoryv1.PrivacySubject{
			Subject: &memoryv1.PrivacySubject_ConversationId{ConversationId: c.conversation.ConversationId},
		}, id)
		if err != nil {
			return false, err
		}
		fmt.Fprintf(c.out, "erased this conversation: %s\n", plural(rows, "row", "rows"))
		return true, nil
	}
	number, err := strconv.Atoi(what)
	if err != nil {
		return false, usagef("say which fact, by its number in :facts, or :forget everything")
	}
	list, err := c.readFacts(ctx, c.conn, c.conversation.ConversationId, "", false)
	if err != nil {
		return false, err
	}
	if number < 1 || number > len(list) {
		return false, usagef("there is no fact %d; :facts lists %s", number, plural(len(list), "fact", "facts"))
	}
	f := list[number-1]
	if _, err := memoryv1.NewFactServiceClient(c.conn).RetireFact(ctx, &memoryv1.RetireFactRequest{Tenant: c.tenant, FactId: f.ID}); err != nil {
		return false, err
	}
	fmt.Fprintf(c.out, "forgotten: %s / %s = %s\n", f.Entity, f.Attribute, oneLine(f.Value))
	return false, nil
}

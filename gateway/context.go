package gateway

import (
	"context"
	"fmt"
	"strings"

	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
)

// previewed stands for the ids of a turn that is never opened.
const previewed = "preview"

// CompileContext implements GatewayService: the first steps of a turn, each only looking.
func (g *Gateway) CompileContext(ctx context.Context, req *gatewayv1.CompileContextRequest) (*gatewayv1.CompileContextResponse, error) {
	t := &turn{
		gateway: g, preview: true, trace: &gatewayv1.Trace{}, provided: map[string]*conceptv1.ProvidedPayload{},
		req: &gatewayv1.RespondRequest{
			Tenant: req.Tenant, ConversationId: req.ConversationId, Text: req.Text, Bot: req.Bot, LanguageCode: req.LanguageCode, Model: req.Model, Window: req.Window,
		},
	}
	if err := checkRequest(t.req); err != nil {
		return nil, err
	}
	model, err := t.findModel(ctx)
	if err != nil {
		return nil, err
	}
	window := req.Window
	if t.noModel == nil {
		window = withTokenizer(window, model.Settings)
	}
	t.prepared, err = g.turns.PrepareTurn(ctx, &memoryv1.PrepareTurnRequest{
		Tenant: req.Tenant, RequestId: previewed, ConversationId: req.ConversationId, Text: req.Text, Window: window,
		Pins: &memoryv1.TurnPins{Model: modelName(req.Model)}, Preview: true,
	})
	if err != nil {
		return nil, err
	}
	t.prepared.Turn.TurnId = previewed
	d := t.decide(ctx, 0)
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	resp := &gatewayv1.CompileContextResponse{
		Window: t.prepared.Window, Corrections: t.prepared.Corrections, Facts: t.prepared.Facts, Span: d.span, Abstained: d.abstained,
		Degradations: t.trace.Degradations,
	}
	resp.Prompt = prompt(resp, req.Text)
	return resp, nil
}

// prompt puts what is known into words, as any language model can continue them: what holds first, then the conversation.
func prompt(known *gatewayv1.CompileContextResponse, text string) string {
	var b strings.Builder
	b.WriteString("Continue the conversation below with the assistant's next message. What stands under a heading holds; do not contradict it.\n")
	if len(known.Corrections) > 0 {
		b.WriteString("\nCorrections that bear on the message:\n")
		for _, m := range known.Corrections {
			b.WriteString("- " + corrected(m.Correction) + "\n")
		}
	}
	if len(known.Facts) > 0 {
		b.WriteString("\nFacts:\n")
		for _, f := range known.Facts {
			fmt.Fprintf(&b, "- %s, %s: %s\n", line(f.Entity), line(f.Attribute), line(f.Value))
		}
	}
	if known.Span != nil {
		fmt.Fprintf(&b, "\nWhat is known to be the answer (concept %s):\n%s\n", known.Span.Concept, known.Span.Text)
	}
	b.WriteString("\nConversation:\n")
	if n := known.Window.GetOmittedMessages(); n > 0 {
		fmt.Fprintf(&b, "(older messages left out: %d)\n", n)
	}
	for _, m := range known.Window.GetMessages() {
		speaker := "User"
		if m.Sender == memoryv1.Sender_SENDER_ASSISTANT {
			speaker = "Assistant"
		}
		b.WriteString(speaker + ": " + line(m.Content) + "\n")
	}
	b.WriteString("User: " + line(text) + "\nAssistant:")
	return b.String()
}

// corrected is what a correction says is right, and in the place of what.
func corrected(c *memoryv1.Correction) string {
	said := line(c.GetFact().GetValue())
	if about := line(c.GetFact().GetEntity() + " " + c.GetFact().GetAttribute()); about != "" {
		said = about + ": " + said
	}
	if wrong := line(erroneous(c)); wrong != "" {
		said += " (not: " + wrong + ")"
	}
	return said
}

// line is a text on one line, so that nothing in it looks like another message.
func line(text string) string { return strings.Join(strings.Fields(text), " ") }

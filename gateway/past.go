package gateway

import (
	"context"
	"io"

	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"google.golang.org/protobuf/proto"
)

// A reply of the past is made again from its trace and from what the levels keep: the window is what memory returns for the
// bounds of the trace before the person's message, level 3 fills the version of the template that spoke with the payload that
// filled it, level 1 draws with the parameters, seed and build of the trace. See docs/decisions/0090.

// Why a reply cannot be made again, beside documentForgotten.
const (
	buildGone    = "BUILD_GONE"
	messagesGone = "MESSAGES_GONE"
	templateGone = "TEMPLATE_GONE"
	textGone     = "TEXT_GONE"
	traceTooOld  = "TRACE_TOO_OLD"
)

// past is a reply with what is still known of how it came about.
type past struct {
	gateway *Gateway
	tenant  string
	reply   *memoryv1.Message
	asked   *memoryv1.Message // nil when it was removed
	window  *memoryv1.Window  // that the reply saw; nil when messages of it were removed
	trace   *gatewayv1.Trace
	model   string // of level 1 to ask, and its build
	build   uint32
	other   bool                     // the request chose them
	lost    *gatewayv1.NotReplayable // why it cannot be made again; nil while nothing is known against it
}

// recall reads a reply, its trace and what it saw. model and build are asked in place of the trace's unless empty and 0.
func (g *Gateway) recall(ctx context.Context, tenant, messageID, model string, build uint32) (*past, error) {
	found, err := g.conversations.GetMessage(ctx, &memoryv1.GetMessageRequest{Tenant: tenant, MessageId: messageID})
	if err != nil {
		return nil, err
	}
	if found.Message.GetSender() != memoryv1.Sender_SENDER_ASSISTANT {
		return nil, errors.New(errors.InvalidArgument, "NOT_A_REPLY", "message %s is what a person said; name the reply to it", messageID).
			Field("message_id", "must be a reply")
	}
	p := &past{gateway: g, tenant: tenant, reply: found.Message, other: model != "" || build != 0}
	if p.trace, err = g.readTrace(ctx, tenant, messageID); err != nil {
		return nil, err
	}
	p.model, p.build, p.lost = p.trace.Model, p.trace.NgramBuildId, p.trace.NotReplayable
	if model != "" {
		p.model, p.build = model, build
	} else if build != 0 {
		p.build = build
	}
	asked, err := g.conversations.GetMessage(ctx, &memoryv1.GetMessageRequest{Tenant: tenant, MessageId: p.trace.UserMessageId})
	if errors.KindOf(err) == errors.NotFound {
		p.lose(messagesGone, "the message that it answers was removed")
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	p.asked = asked.Message
	return p, p.look(ctx)
}

// look finds the window again that the reply saw.
func (p *past) look(ctx context.Context) error {
	resp, err := p.gateway.conversations.GetWindow(ctx, &memoryv1.GetWindowRequest{
		Tenant: p.tenant, ConversationId: p.reply.ConversationId, Bounds: p.trace.WindowBounds, BeforeMessageId: p.asked.MessageId,
	})
	if err != nil {
		return err
	}
	w := resp.Window
	first, last := seqs(w)
	switch {
	case first == p.trace.WindowFirstSeq && last == p.trace.WindowLastSeq && w.GetFirstMessageCut() == p.trace.WindowFirstCut:
		p.window = w
	case p.trace.WindowBounds == nil:
		p.lose(traceTooOld, "its trace was made before traces kept the bounds of the window")
	default:
		p.lose(messagesGone, "messages that it saw were removed")
	}
	return nil
}

// lose notes why the reply cannot be made again; the first reason stands.
func (p *past) lose(reason, detail string) {
	if p.lost == nil {
		p.lost = &gatewayv1.NotReplayable{Reason: reason, Detail: detail}
	}
}

// seqs are the numbers of the first and last message of a window, 0 of an empty one.
func seqs(w *memoryv1.Window) (first, last uint64) {
	if messages := w.GetMessages(); len(messages) > 0 {
		return messages[0].Seq, messages[len(messages)-1].Seq
	}
	return 0, 0
}

// remade is a segment that was made again.
type remade struct {
	text     string
	template string // text of the template that spoke
	header   *ngramv1.GenerateHeader
	tokens   []*ngramv1.GeneratedToken
	finish   *ngramv1.GenerateFinish
}

// remake makes the segments again, as far as it can: with an error, or when the reply turns out to be lost, those before stand.
// stages and rows are what level 1 shall tell of its tokens.
func (p *past) remake(ctx context.Context, stages uint32, rows *ngramv1.ExplainOptions) (segments []remade, err error) {
	said := 0
	for _, s := range p.trace.Segments {
		if p.lost != nil {
			break
		}
		var r remade
		switch {
		case s.Span != nil:
			r, err = p.retell(ctx, s.Span, said > 0)
			if s.FinishReason == ngramv1.FinishReason_FINISH_REASON_STOP_SEQUENCE && len(r.text) > len(s.Text) { // it was cut there
				r.text = r.text[:len(s.Text)]
			}
		case len(s.TokenIds) > 0:
			r, err = p.rewrite(ctx, s, stages, rows)
		}
		if err != nil {
			return segments, err
		}
		if p.lost != nil {
			break
		}
		r.text, _ = within(r.text, said)
		said += len(r.text)
		segments = append(segments, r)
	}
	return segments, nil
}

// retell has level 3 fill the template again.
func (p *past) retell(ctx context.Context, span *conceptv1.Span, follows bool) (r remade, err error) {
	resp, err := p.gateway.audit.Retell(ctx, &conceptv1.RetellRequest{
		Tenant: p.tenant, Bot: p.trace.Bot, Concept: span.Concept, TemplateId: span.TemplateId, TemplateVersion: span.TemplateVersion,
		LanguageCode: span.LanguageCode, PayloadJson: span.PayloadJson, Now: p.trace.TurnTime,
	})
	if errors.ReasonOf(err) == "TEMPLATE_NOT_FOUND" {
		p.lose(templateGone, errors.Public(err))
		return r, nil
	}
	if err != nil {
		return r, err
	}
	return remade{text: following(resp.Text, follows), template: resp.TemplateText}, nil
}

// rewrite has level 1 draw the segment again.
func (p *past) rewrite(ctx context.Context, s *gatewayv1.TraceSegment, stages uint32, rows *ngramv1.ExplainOptions) (r remade, err error) {
	if p.trace.Parameters == nil {
		p.lose(traceTooOld, "its trace lacks the parameters of level 1")
		return r, nil
	}
	// Every parameter is given, bans and profile included, so that what an operator changed since changes nothing.
	params := proto.CloneOf(p.trace.Parameters)
	bans := &ngramv1.StoredBans{Texts: params.Bans}
	params.Profile, params.Bans, params.Seed = "plain", nil, &s.Seed
	if params.SeamPenalty == nil { // older than the penalties of the ranking: this is how it was ranked
		params.ShortPenalty, params.SeamPenalty, params.EchoPenalty = proto.Float64(0.5), proto.Float64(0), proto.Float64(0)
	}
	ctx, cancel := context.WithCancel(ctx) // ends the stream when this returns
	defer cancel()
	stream, err := p.gateway.inference.Generate(ctx, &ngramv1.GenerateRequest{
		Tenant: p.tenant, Model: p.model, BuildId: p.build, Parameters: params, History: said(p.trace.Instructions, p.window, p.asked.Content),
		EarlierReplies: replied(p.window), StoredBans: bans, Stages: stages, Explain: rows,
	})
	for err == nil {
		var resp *ngramv1.GenerateResponse
		if resp, err = stream.Recv(); err != nil {
			break
		}
		switch event := resp.Event.(type) {
		case *ngramv1.GenerateResponse_Header:
			r.header = event.Header
		case *ngramv1.GenerateResponse_Chunk:
			r.text += speakable(event.Chunk.Text)
			r.tokens = append(r.tokens, event.Chunk.Tokens...)
		case *ngramv1.GenerateResponse_Finish:
			r.finish = event.Finish
			p.asFar(&r, s)
			return r, nil
		}
	}
	switch reason := errors.ReasonOf(err); {
	case errors.Is(err, io.EOF):
		return r, errors.New(errors.Unavailable, "STREAM_CUT", "the language model ended without finishing; try again")
	case reason == "TEXT_NOT_KEPT":
		p.lose(textGone, errors.Public(err))
	case !p.other && (pinnedBuildGone(err) || reason == "MODEL_NOT_FOUND"):
		p.lose(buildGone, errors.Public(err))
	default:
		return r, err
	}
	return r, nil
}

// asFar cuts a segment that broke off, because its caller left or level 1 failed, where it did.
func (p *past) asFar(r *remade, s *gatewayv1.TraceSegment) {
	if s.FinishReason == ngramv1.FinishReason_FINISH_REASON_UNSPECIFIED && len(r.text) > len(s.Text) {
		r.text = r.text[:len(s.Text)]
		r.tokens = first(r.tokens, len(s.TokenIds))
	}
}

// without is what the reply said in place of words that neither level had; empty when it had some, or the caller left before.
func (p *past) without(ctx context.Context) (string, error) {
	if p.reply.FinishReason == finishName(ngramv1.FinishReason_FINISH_REASON_CANCELLED) {
		return "", nil
	}
	if n := len(p.trace.Segments); p.reply.Content == "" && n > 0 && p.trace.Segments[n-1].FinishReason == ngramv1.FinishReason_FINISH_REASON_STOP_SEQUENCE {
		return "", nil
	}
	turn, err := p.gateway.turns.GetTurn(ctx, &memoryv1.GetTurnRequest{Tenant: p.tenant, TurnId: p.trace.TurnId})
	if err != nil {
		return "", err
	}
	var missing *gatewayv1.Degradation
	for _, d := range p.trace.Degradations {
		if d.Service == serviceNgram {
			missing = d
		}
	}
	return sayWithout(turn.Turn.GetPins().GetModel(), p.reply.FinishReason == finishName(ngramv1.FinishReason_FINISH_REASON_ERROR), missing), nil
}

package gateway

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"dbslm/pkg/errors"
	"dbslm/pkg/text"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

// Why something was said is told by the reply's trace, and for the words of level 1 by making it again, as Explain does. What is
// found fills the slots of a built-in concept of level 3, which puts it into a sentence.

// tellTimeout bounds finding out why something was said; the reply does without when it takes longer.
const tellTimeout = 5 * time.Second

// explainingConcept is level 3's own concept that says why something was said.
const explainingConcept = "ReplyExplained"

var errNoReply = errors.New(errors.NotFound, "REPLY_NOT_FOUND", "the reply that is asked about does not stand in the window")

// whyBytes bounds the words of a reply that its explanation quotes.
const whyBytes = 400

// toldReply are the slots, named as level 3 names them.
type toldReply struct {
	Words       string  `json:"reply_words"`
	Concept     string  `json:"reply_concept,omitempty"`
	Probability float64 `json:"reply_probability,omitempty"`
	Correction  string  `json:"reply_correction,omitempty"`
	Context     string  `json:"reply_context,omitempty"`
	Count       uint64  `json:"reply_count,omitempty"`
	Run         uint32  `json:"reply_run,omitempty"`
}

// tellReply finds out how the reply came about that the person asks about.
func (t *turn) tellReply(ctx context.Context, asked *conceptv1.AskedReply) (string, error) {
	ctx, cancel := part(ctx, tellTimeout)
	defer cancel()
	p, words, err := t.findReply(ctx, asked)
	if err != nil {
		return "", err
	}
	remade, err := p.remake(ctx, 0, &ngramv1.ExplainOptions{})
	if err != nil {
		return "", err
	}
	corrections, err := p.corrections(ctx, remade)
	if err != nil {
		return "", err
	}
	told := &toldReply{Words: strings.TrimSpace(speakable(head(words, whyBytes)))}
	for i, s := range p.trace.Segments { // the first that holds the words; of the whole reply, the first
		if words != strings.TrimSpace(p.reply.Content) && !strings.Contains(s.Text, words) {
			continue
		}
		for _, c := range corrections {
			if value := c.Correction.GetFact().GetValue(); c.Applied && value != "" && strings.Contains(text.FoldKey(s.Text), text.FoldKey(trimmed(value))) {
				told.Correction = trimmed(value)
			}
		}
		if s.Span != nil {
			told.Concept = s.Span.Concept
			if s.Span.Signal == nil {
				told.Probability = s.Span.Probability
			}
		} else if i < len(remade) {
			told.tokens(remade[i].tokens, text.FoldedWords(words))
		}
		break
	}
	out, err := json.Marshal(told)
	return string(out), err
}

// findReply goes back to the reply that is asked about, past those that only explained one.
func (t *turn) findReply(ctx context.Context, asked *conceptv1.AskedReply) (p *past, words string, err error) {
	messages := t.prepared.Window.GetMessages()
	at := len(messages) - int(asked.MessagesBack)
	if at < 0 || at >= len(messages) {
		return nil, "", errNoReply
	}
	whole := asked.Words == strings.TrimSpace(messages[at].Content)
	for _, m := range slices.Backward(messages[:at+1]) {
		if m.Sender != memoryv1.Sender_SENDER_ASSISTANT || !whole && !strings.Contains(m.Content, asked.Words) {
			continue
		}
		if p, err = t.gateway.recall(ctx, t.req.Tenant, m.MessageId, "", 0); err != nil {
			return nil, "", err
		}
		switch explains := len(p.trace.Segments) > 0 && p.trace.Segments[0].Span.GetConcept() == explainingConcept; {
		case explains:
		case whole:
			return p, strings.TrimSpace(m.Content), nil
		default:
			return p, asked.Words, nil
		}
	}
	return nil, "", errNoReply
}

// tokens tells of words of level 1: what the first of them stood behind in the texts when it is a part of the reply that is asked
// about, and the longest n-gram.
func (told *toldReply) tokens(tokens []*ngramv1.GeneratedToken, words []string) {
	for _, token := range tokens {
		told.Run = max(told.Run, token.MatchedOrder)
	}
	if told.Run < 2 {
		told.Run = 0
	}
	at := indexOfWords(tokens, words)
	if at <= 0 { // the beginning was not chosen for what stands before it
		return
	}
	for _, order := range tokens[at].Explanation.GetOrders() {
		if order.Role != ngramv1.ExplainedOrder_ROLE_MATCHED || order.Order < 2 || order.Count == nil {
			continue
		}
		var context []string
		for _, row := range order.Context {
			if row.Text != "<s>" {
				context = append(context, row.Text)
			}
		}
		told.Context, told.Count = strings.Join(context, " "), order.Count.Raw
	}
}

// indexOfWords is the first token of folded words that stand one after the other among tokens; -1 when they do not.
func indexOfWords(tokens []*ngramv1.GeneratedToken, words []string) int {
	var all []string
	var of []int // the token of each
	for i, token := range tokens {
		for _, w := range text.FoldedWords(token.Token.GetText()) {
			all, of = append(all, w), append(of, i)
		}
	}
	for i := 0; len(words) > 0 && i+len(words) <= len(all); i++ {
		if slices.Equal(all[i:i+len(words)], words) {
			return of[i]
		}
	}
	return -1
}

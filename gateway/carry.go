package gateway

import (
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"

	"google.golang.org/protobuf/proto"
)

// carriedSpoken bounds the concepts that are carried from reply to reply, carriedReplies for how many replies.
const carriedSpoken, carriedReplies = 64, 32

// carriedBytes is CommitTurnRequest.carried.
const carriedBytes = 16 << 10

// carried is what the reply before carried on to this turn: how each concept spoke last, newest first, and the form that is open.
func (t *turn) carried() *gatewayv1.Carried {
	carried := &gatewayv1.Carried{}
	if t.brought() {
		return carried
	}
	// What a newer program may have written is left out: a template then may speak twice in a row.
	if err := proto.Unmarshal(t.prepared.Carried, carried); err != nil {
		return &gatewayv1.Carried{}
	}
	carried.Spoken = first(carried.Spoken, carriedSpoken)
	return carried
}

// brought reports whether the caller brought the history. Other replies to it, in the same stored conversation, are not seen, nor what
// they carried on.
func (t *turn) brought() bool { return t.req.GetWindow().GetThroughSeq() != 0 }

// carry is what the next turn of the conversation gets from this one; nil for nothing.
func (t *turn) carry() []byte {
	spoken, seen := []*conceptv1.Spoken{}, map[string]bool{}
	add := func(s *conceptv1.Spoken) {
		if !seen[s.Concept] && s.RepliesAgo < carriedReplies {
			seen[s.Concept] = true
			spoken = append(spoken, s)
		}
	}
	for i := len(t.trace.Segments) - 1; i >= 0; i-- {
		if span := t.trace.Segments[i].Span; span != nil {
			add(&conceptv1.Spoken{Concept: span.Concept, TemplateId: span.TemplateId})
		}
	}
	for _, s := range t.carried().Spoken {
		add(&conceptv1.Spoken{Concept: s.Concept, TemplateId: s.TemplateId, RepliesAgo: s.RepliesAgo + 1})
	}
	carried := &gatewayv1.Carried{Spoken: first(spoken, carriedSpoken), Form: t.form}
	for n := len(carried.Spoken) - 1; proto.Size(carried) > carriedBytes && n >= 0; n-- { // long names
		carried.Spoken = carried.Spoken[:n]
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(carried)
	if err != nil || len(body) > carriedBytes || len(body) == 0 { // names that are no UTF-8 cannot come out of level 3, nor a form that is too large
		return nil
	}
	return body
}

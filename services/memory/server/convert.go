package server

import (
	"time"

	memoryv1 "dbslm/proto/dbslm/memory/v1"
	"dbslm/services/memory"
	"dbslm/services/memory/window"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func convertAll[From, To any](list []From, convert func(From) To) []To {
	out := make([]To, len(list))
	for i, v := range list {
		out[i] = convert(v)
	}
	return out
}

func toConversation(c memory.Conversation) *memoryv1.Conversation {
	return &memoryv1.Conversation{
		ConversationId: c.ID, Tenant: c.Tenant, UserId: c.UserID, AgentId: c.AgentID, Title: c.Title, Metadata: c.Metadata,
		Archived: c.Archived, Messages: uint64(c.Messages()), CreateTime: timestamp(c.Created), UpdateTime: timestamp(c.Updated),
	}
}

func toStatistics(s memory.Statistics) *memoryv1.Statistics {
	return &memoryv1.Statistics{
		Messages: uint64(s.Messages()), UserMessages: uint64(s.UserMessages), AssistantMessages: uint64(s.AssistantMessages),
		CommittedTurns: uint64(s.CommittedTurns), FailedTurns: uint64(s.FailedTurns), Corrections: uint64(s.Corrections),
		FirstTime: timestamp(s.First), LastTime: timestamp(s.Last),
	}
}

func toSender(s memory.Sender) memoryv1.Sender {
	if s == memory.SenderAssistant {
		return memoryv1.Sender_SENDER_ASSISTANT
	}
	return memoryv1.Sender_SENDER_USER
}

func fromSender(s memoryv1.Sender) (memory.Sender, error) {
	switch s {
	case memoryv1.Sender_SENDER_USER:
		return memory.SenderUser, nil
	case memoryv1.Sender_SENDER_ASSISTANT:
		return memory.SenderAssistant, nil
	}
	return "", memory.Invalid("sender", "must be SENDER_USER or SENDER_ASSISTANT")
}

func toMessage(m memory.Message) *memoryv1.Message {
	return &memoryv1.Message{
		MessageId: m.ID, ConversationId: m.ConversationID, Seq: uint64(m.Seq), Sender: toSender(m.Sender), Content: m.Content,
		TurnId: m.TurnID, FinishReason: m.FinishReason, CreateTime: timestamp(m.Created),
	}
}

func toWindow(w window.Window) *memoryv1.Window {
	return &memoryv1.Window{
		Messages: convertAll(w.Messages, toMessage), Tokens: uint32(w.Tokens), OmittedMessages: uint64(w.Omitted), FirstMessageCut: w.FirstCut,
	}
}

func fromBounds(b *memoryv1.WindowBounds) (window.Bounds, error) {
	bounds, err := window.NewBounds(b.GetMaxTurns(), b.GetMaxTokens(), b.GetTokenizer(), b.GetTokenizerParameters())
	return bounds.Through(int64(b.GetThroughSeq())), err
}

func toScope(s memory.Scope) memoryv1.Scope {
	switch s {
	case memory.ScopeUser:
		return memoryv1.Scope_SCOPE_USER
	case memory.ScopeModel:
		return memoryv1.Scope_SCOPE_MODEL
	}
	return memoryv1.Scope_SCOPE_CONVERSATION
}

func fromScope(s memoryv1.Scope) (memory.Scope, error) {
	switch s {
	case memoryv1.Scope_SCOPE_UNSPECIFIED, memoryv1.Scope_SCOPE_CONVERSATION:
		return memory.ScopeConversation, nil
	case memoryv1.Scope_SCOPE_USER:
		return memory.ScopeUser, nil
	case memoryv1.Scope_SCOPE_MODEL:
		return memory.ScopeModel, nil
	}
	return "", memory.Invalid("scope", "is unknown")
}

// placed is what corrections, facts and biases have in common in the protos.
type placed interface {
	GetScope() memoryv1.Scope
	GetConversationId() string
	GetUserId() string
	GetModel() string
}

func fromPlace(p placed) (memory.Place, error) {
	scope, err := fromScope(p.GetScope())
	if err != nil {
		return memory.Place{}, err
	}
	place := memory.Place{Scope: scope, ConversationID: p.GetConversationId(), UserID: p.GetUserId(), Model: p.GetModel()}
	if err := checkNames("user_id", place.UserID, "model", place.Model); err != nil {
		return place, err
	}
	return place, checkIDs("conversation", place.ConversationID)
}

func toCorrection(c memory.Correction) *memoryv1.Correction {
	return &memoryv1.Correction{
		CorrectionId: c.ID, Tenant: c.Tenant, Scope: toScope(c.Scope), ConversationId: c.ConversationID, UserId: c.UserID, Model: c.Model,
		ErrorMessageId: c.ErrorMessageID, CorrectionMessageId: c.CorrectionMessageID, ErrorContext: c.ErrorContext,
		Fact:    &memoryv1.CorrectedFact{Entity: c.Fact.Entity, Attribute: c.Fact.Attribute, Value: c.Fact.Value, ExtraJson: c.Fact.Extra},
		Subject: c.Subject, SupersededBy: c.SupersededBy, SupersedeTime: timestamp(c.Superseded), RevokeTime: timestamp(c.Revoked),
		RevokeReason: c.RevokeReason, Active: c.Active(), RecordedBy: c.RecordedBy, CreateTime: timestamp(c.Created), Version: c.Version,
		Cue: c.Cue, Times: c.Times, Origin: c.Origin, ReviewedBy: c.ReviewedBy, Wrong: wrongs(c),
	}
}

func wrongs(c memory.Correction) []string {
	if wrong := c.Wrong(); wrong != "" {
		return []string{wrong}
	}
	return nil
}

// toStanding is a correction with the values that it calls wrong in a turn.
func toStanding(s memory.Standing) *memoryv1.Correction {
	k := toCorrection(s.Correction)
	k.Wrong = s.Wrong
	return k
}

func toStandingMatch(s memory.Standing) *memoryv1.CorrectionMatch {
	return &memoryv1.CorrectionMatch{Correction: toStanding(s), MatchedWords: s.Words, Score: s.Score}
}

// toProposal is a correction as a request that records it.
func toProposal(c memory.Correction) *memoryv1.RecordCorrectionRequest {
	return &memoryv1.RecordCorrectionRequest{
		Tenant: c.Tenant, RequestId: c.RequestID, Scope: toScope(c.Scope), ConversationId: c.ConversationID,
		ErrorMessageId: c.ErrorMessageID, CorrectionMessageId: c.CorrectionMessageID, ErrorContext: c.ErrorContext,
		Fact: &memoryv1.CorrectedFact{Entity: c.Fact.Entity, Attribute: c.Fact.Attribute, Value: c.Fact.Value},
	}
}

func toCorrectionMatch(m memory.CorrectionMatch) *memoryv1.CorrectionMatch {
	return &memoryv1.CorrectionMatch{Correction: toCorrection(m.Correction), MatchedWords: m.Words, Score: m.Score}
}

func toFact(f memory.Fact) *memoryv1.Fact {
	return &memoryv1.Fact{
		FactId: f.ID, Scope: toScope(f.Scope), ConversationId: f.ConversationID, UserId: f.UserID, Model: f.Model,
		Entity: f.Entity, Attribute: f.Attribute, Value: f.Value, CreateTime: timestamp(f.Created), RetireTime: timestamp(f.Retired),
	}
}

func toBias(b memory.Bias) *memoryv1.Bias {
	out := &memoryv1.Bias{
		BiasId: b.ID, Scope: toScope(b.Scope), ConversationId: b.ConversationID, UserId: b.UserID, Model: b.Model,
		Pattern: b.Pattern, Sequence: b.Sequence, StrengthLog10: b.Strength, ExpireTime: timestamp(b.Expires),
		CorrectionId: b.CorrectionID, CreateTime: timestamp(b.Created), Then: b.Then, Gap: uint32(b.Gap), Regex: b.Regex, EffectiveStrengthLog10: b.Effective,
	}
	if b.HalfLife > 0 {
		out.HalfLife = durationpb.New(b.HalfLife)
	}
	return out
}

func toPins(p memory.Pins) *memoryv1.TurnPins {
	return &memoryv1.TurnPins{Seed: p.Seed, Model: p.Model, NgramBuildId: p.NgramBuildID, ConceptBuildId: p.ConceptBuildID}
}

func fromPins(p *memoryv1.TurnPins) memory.Pins {
	return memory.Pins{Seed: p.GetSeed(), Model: p.GetModel(), NgramBuildID: p.GetNgramBuildId(), ConceptBuildID: p.GetConceptBuildId()}
}

var turnStates = map[memory.TurnState]memoryv1.Turn_State{
	memory.TurnOpen:      memoryv1.Turn_STATE_OPEN,
	memory.TurnCommitted: memoryv1.Turn_STATE_COMMITTED,
	memory.TurnFailed:    memoryv1.Turn_STATE_FAILED,
}

func toTurn(t memory.Turn) *memoryv1.Turn {
	out := &memoryv1.Turn{
		TurnId: t.ID, ConversationId: t.ConversationID, RequestId: t.RequestID, State: turnStates[t.State], Pins: toPins(t.Pins),
		UserMessageId: t.UserMessageID, ReplyMessageId: t.ReplyMessageID, Failure: t.Failure, CreateTime: timestamp(t.Created),
	}
	if t.State == memory.TurnOpen {
		out.LeaseExpireTime = timestamp(t.LeaseUntil)
	}
	return out
}

func toTrace(t memory.Trace) *memoryv1.Trace {
	return &memoryv1.Trace{
		MessageId: t.MessageID, Version: t.Version, Body: t.Body, Detail: t.Detail, Thinned: t.Thinned, NgramBuildId: t.NgramBuildID, ConceptBuildId: t.ConceptBuildID, Model: t.Model,
	}
}

func fromTrace(t *memoryv1.Trace) *memory.Trace {
	if t == nil {
		return nil
	}
	return &memory.Trace{
		Version: t.GetVersion(), Body: t.GetBody(), Detail: t.GetDetail(), NgramBuildID: t.GetNgramBuildId(), ConceptBuildID: t.GetConceptBuildId(), Model: t.GetModel(),
	}
}

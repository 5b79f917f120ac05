package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	"dbslm/pkg/rpc"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	"dbslm/services/memory/server"
	"dbslm/services/memory/store"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that a test sets.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// memory is a service reached as a peer in this process reaches it.
type memory struct {
	memoryv1.ConversationServiceClient
	memoryv1.TurnServiceClient
	memoryv1.CorrectionServiceClient
	memoryv1.FactServiceClient
	memoryv1.BiasServiceClient
	memoryv1.TraceServiceClient
	memoryv1.PrivacyServiceClient
	memoryv1.RetentionServiceClient
	clock *clock
}

func serve(t *testing.T, db *database.DB) *memory {
	t.Helper()
	c := &clock{at: time.Date(2026, 11, 22, 12, 0, 0, 123456789, time.UTC)}
	service := server.New(db, server.Options{Clock: c.now, RetentionLook: 20 * time.Millisecond})
	s := rpc.NewServer(rpc.Options{}, service)
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), service.Close()); err != nil {
			t.Error(err)
		}
	})
	if err := service.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return connect(s.Local(), c)
}

func connect(conn grpc.ClientConnInterface, c *clock) *memory {
	return &memory{
		memoryv1.NewConversationServiceClient(conn), memoryv1.NewTurnServiceClient(conn), memoryv1.NewCorrectionServiceClient(conn),
		memoryv1.NewFactServiceClient(conn), memoryv1.NewBiasServiceClient(conn), memoryv1.NewTraceServiceClient(conn),
		memoryv1.NewPrivacyServiceClient(conn), memoryv1.NewRetentionServiceClient(conn), c,
	}
}

func each(t *testing.T, f func(t *testing.T, m *memory)) {
	t.Helper()
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) { f(t, serve(t, db)) })
}

// sqlite is for cases in which the engine plays no part.
func sqlite(t *testing.T) *memory {
	t.Helper()
	return serve(t, databasetest.Open(t, databasetest.SQLiteTarget(t), store.Schema, database.Options{}))
}

func must[Resp any](resp Resp, err error) func(*testing.T) Resp {
	return func(t *testing.T) Resp {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
}

func begin(t *testing.T, m *memory) *memoryv1.Conversation {
	t.Helper()
	return must(m.CreateConversation(t.Context(), &memoryv1.CreateConversationRequest{UserId: "ada"}))(t).GetConversation()
}

// wantCode checks code and reason, and that a person can read the text.
func wantCode(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()
	if status.Code(err) != code || reason != "" && errors.ReasonOf(err) != reason {
		t.Errorf("got %v (%s), want %s %s", err, errors.ReasonOf(err), code, reason)
	}
	if len(status.Convert(err).Message()) < 10 {
		t.Errorf("nobody understands %q", status.Convert(err).Message())
	}
}

func TestATurnOverTheWire(t *testing.T) {
	each(t, func(t *testing.T, m *memory) {
		ctx := t.Context()
		c := begin(t, m)
		if c.GetTenant() != "default" || c.GetAgentId() != "db-slm" || c.GetUserId() != "ada" || len(c.GetConversationId()) != 36 {
			t.Errorf("conversation %v", c)
		}
		req := &memoryv1.PrepareTurnRequest{
			ConversationId: c.GetConversationId(), RequestId: "r", Text: "Hello!",
			Pins: &memoryv1.TurnPins{Seed: 1<<64 - 1, Model: "m", NgramBuildId: 3, ConceptBuildId: 4}, Lease: durationpb.New(time.Minute),
		}
		p := must(m.PrepareTurn(ctx, req))(t)
		at := timestamppb.New(time.UnixMicro(m.clock.now().UnixMicro()))
		want := &memoryv1.PrepareTurnResponse{
			Turn: &memoryv1.Turn{
				TurnId: p.GetTurn().GetTurnId(), ConversationId: c.GetConversationId(), RequestId: "r", State: memoryv1.Turn_STATE_OPEN,
				LeaseExpireTime: timestamppb.New(at.AsTime().Add(time.Minute)), Pins: req.GetPins(),
				UserMessageId: p.GetUserMessage().GetMessageId(), CreateTime: at,
			},
			Conversation: &memoryv1.Conversation{
				ConversationId: c.GetConversationId(), Tenant: "default", UserId: "ada", AgentId: "db-slm", Messages: 1, CreateTime: at, UpdateTime: at,
			},
			UserMessage: &memoryv1.Message{
				MessageId: p.GetUserMessage().GetMessageId(), ConversationId: c.GetConversationId(), Seq: 1, Sender: memoryv1.Sender_SENDER_USER,
				Content: "Hello!", TurnId: p.GetTurn().GetTurnId(), CreateTime: at,
			},
			Window:     &memoryv1.Window{},
			Statistics: &memoryv1.Statistics{Messages: 1, UserMessages: 1, FirstTime: at, LastTime: at},
		}
		if diff := cmp.Diff(want, p, protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
		m.clock.add(time.Second)
		trace := &memoryv1.Trace{Version: 1, Body: []byte{0, 1, 2, 255}, Detail: []byte{3}, NgramBuildId: 3, ConceptBuildId: 4, Model: "m", MessageId: "ignored"}
		done := must(m.CommitTurn(ctx, &memoryv1.CommitTurnRequest{TurnId: p.GetTurn().GetTurnId(), Content: "Hi.", FinishReason: "stop", Trace: trace}))(t)
		if done.GetTurn().GetState() != memoryv1.Turn_STATE_COMMITTED || done.GetTurn().GetLeaseExpireTime() != nil ||
			done.GetMessage().GetSeq() != 2 || done.GetMessage().GetSender() != memoryv1.Sender_SENDER_ASSISTANT || done.GetMessage().GetFinishReason() != "stop" {
			t.Errorf("committed %v", done)
		}
		again := must(m.PrepareTurn(ctx, req))(t)
		if diff := cmp.Diff(done.GetMessage(), again.GetReply(), protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
		trace.MessageId = done.GetMessage().GetMessageId()
		if diff := cmp.Diff(trace, again.GetTrace(), protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
		got := must(m.GetTrace(ctx, &memoryv1.GetTraceRequest{MessageId: trace.GetMessageId()}))(t)
		if diff := cmp.Diff(trace, got.GetTrace(), protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
		thinned := must(m.ThinTraces(ctx, &memoryv1.ThinTracesRequest{BeforeTime: timestamppb.New(time.Now().Add(time.Hour))}))(t)
		if thinned.GetTraces() != 1 || thinned.GetBytes() == 0 || thinned.GetMore() {
			t.Errorf("thinned %v", thinned)
		}
		trace.Detail, trace.Thinned = nil, true
		got = must(m.GetTrace(ctx, &memoryv1.GetTraceRequest{MessageId: trace.GetMessageId()}))(t)
		if diff := cmp.Diff(trace, got.GetTrace(), protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
		_, err := m.GetTrace(ctx, &memoryv1.GetTraceRequest{MessageId: p.GetUserMessage().GetMessageId()})
		wantCode(t, err, codes.NotFound, "TRACE_NOT_FOUND")

		open := must(m.PrepareTurn(ctx, &memoryv1.PrepareTurnRequest{ConversationId: c.GetConversationId(), RequestId: "r2", Text: "And?"}))(t)
		m.clock.add(10 * time.Second)
		_, err = m.PrepareTurn(ctx, &memoryv1.PrepareTurnRequest{ConversationId: c.GetConversationId(), RequestId: "r3", Text: "More"})
		wantCode(t, err, codes.Aborted, "TURN_OPEN")
		if e, ok := errors.AsType[*errors.Error](err); !ok || e.RetryDelay() != 50*time.Second || e.Metadata()["turn_id"] != open.GetTurn().GetTurnId() {
			t.Errorf("the open turn is described as %v", err)
		}
		m.clock.add(50 * time.Second)
		third := must(m.PrepareTurn(ctx, &memoryv1.PrepareTurnRequest{ConversationId: c.GetConversationId(), RequestId: "r3", Text: "More"}))(t)
		if got := len(third.GetWindow().GetMessages()); got != 3 || third.GetStatistics().GetFailedTurns() != 1 {
			t.Errorf("after an expired turn: %v", third)
		}
		_, err = m.CommitTurn(ctx, &memoryv1.CommitTurnRequest{TurnId: open.GetTurn().GetTurnId(), Content: "late", FinishReason: "stop"})
		wantCode(t, err, codes.FailedPrecondition, "TURN_FAILED")
		failed := must(m.GetTurn(ctx, &memoryv1.GetTurnRequest{TurnId: open.GetTurn().GetTurnId()}))(t).GetTurn()
		if failed.GetState() != memoryv1.Turn_STATE_FAILED || failed.GetFailure() == "" {
			t.Errorf("the lost turn: %v", failed)
		}
		_, err = m.CommitTurn(ctx, &memoryv1.CommitTurnRequest{TurnId: third.GetTurn().GetTurnId(), FinishReason: "length"})
		wantCode(t, err, codes.InvalidArgument, "INVALID_REQUEST")
		must(m.CommitTurn(ctx, &memoryv1.CommitTurnRequest{TurnId: third.GetTurn().GetTurnId(), FinishReason: "cancelled"}))(t)
		_, err = m.FailTurn(ctx, &memoryv1.FailTurnRequest{TurnId: third.GetTurn().GetTurnId()})
		wantCode(t, err, codes.FailedPrecondition, "TURN_COMMITTED")
		statistics := must(m.GetStatistics(ctx, &memoryv1.GetStatisticsRequest{ConversationId: c.GetConversationId()}))(t).GetStatistics()
		if statistics.GetMessages() != 5 || statistics.GetCommittedTurns() != 2 || statistics.GetFailedTurns() != 1 {
			t.Errorf("statistics %v", statistics)
		}
	})
}

func TestCorrectionsOverTheWire(t *testing.T) {
	each(t, func(t *testing.T, m *memory) {
		ctx := t.Context()
		c := begin(t, m)
		fact := &memoryv1.CorrectedFact{Entity: "France", Attribute: "capital", Value: "Paris", ExtraJson: `{"p":12}`}
		first := must(m.RecordCorrection(ctx, &memoryv1.RecordCorrectionRequest{RequestId: "1", ConversationId: c.GetConversationId(), Fact: fact}))(t).GetCorrection()
		at := timestamppb.New(time.UnixMicro(m.clock.now().UnixMicro()))
		want := &memoryv1.Correction{
			CorrectionId: first.GetCorrectionId(), Tenant: "default", Scope: memoryv1.Scope_SCOPE_CONVERSATION, ConversationId: c.GetConversationId(),
			Fact: fact, Subject: "france / capital", Active: true, RecordedBy: "ada", CreateTime: at, Version: 1, Times: 1,
		}
		if diff := cmp.Diff(want, first, protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
		fact.Value = "Lyon"
		second := must(m.RecordCorrection(ctx, &memoryv1.RecordCorrectionRequest{
			RequestId: "2", ConversationId: c.GetConversationId(), Fact: fact, Scope: memoryv1.Scope_SCOPE_CONVERSATION, RecordedBy: "editor",
		}))(t)
		if diff := cmp.Diff([]string{first.GetCorrectionId()}, second.GetSupersededIds()); diff != "" {
			t.Error(diff)
		}
		got := must(m.GetCorrection(ctx, &memoryv1.GetCorrectionRequest{CorrectionId: first.GetCorrectionId()}))(t).GetCorrection()
		if got.GetActive() || got.GetSupersededBy() != second.GetCorrection().GetCorrectionId() || got.GetSupersedeTime() == nil {
			t.Errorf("the first one: %v", got)
		}
		matches := must(m.MatchCorrections(ctx, &memoryv1.MatchCorrectionsRequest{ConversationId: c.GetConversationId(), Text: "the capital of France?"}))(t).GetMatches()
		if len(matches) != 1 || matches[0].GetCorrection().GetFact().GetValue() != "Lyon" || matches[0].GetScore() != 2./3 ||
			!cmp.Equal(matches[0].GetMatchedWords(), []string{"franc", "capit"}) {
			t.Errorf("matches %v", matches)
		}
		revoked := must(m.RevokeCorrection(ctx, &memoryv1.RevokeCorrectionRequest{CorrectionId: second.GetCorrection().GetCorrectionId(), Reason: "no"}))(t).GetCorrection()
		if revoked.GetActive() || revoked.GetRevokeReason() != "no" || revoked.GetVersion() != 2 {
			t.Errorf("revoked %v", revoked)
		}
		_, err := m.SupersedeCorrection(ctx, &memoryv1.SupersedeCorrectionRequest{
			CorrectionId: second.GetCorrection().GetCorrectionId(), ByCorrectionId: first.GetCorrectionId(),
		})
		wantCode(t, err, codes.FailedPrecondition, "CORRECTION_ENDED")
		for _, ended := range []bool{false, true} {
			list := must(m.ListCorrections(ctx, &memoryv1.ListCorrectionsRequest{ConversationId: c.GetConversationId(), IncludeEnded: ended}))(t)
			if got := len(list.GetCorrections()); got != map[bool]int{false: 0, true: 2}[ended] {
				t.Errorf("listed %d, ended ones too: %v", got, ended)
			}
		}
	})
}

func TestBadRequests(t *testing.T) {
	m := sqlite(t)
	ctx := t.Context()
	c := begin(t, m)
	id := c.GetConversationId()
	unknown := "01890000-0000-7000-8000-000000000000"
	long := strings.Repeat("x", 1<<20+1)
	type call struct {
		name   string
		code   codes.Code
		reason string
		do     func() error
	}
	prepare := func(change func(*memoryv1.PrepareTurnRequest)) func() error {
		return func() error {
			req := &memoryv1.PrepareTurnRequest{ConversationId: id, RequestId: "r", Text: "x"}
			change(req)
			_, err := m.PrepareTurn(ctx, req)
			return err
		}
	}
	record := func(change func(*memoryv1.RecordCorrectionRequest)) func() error {
		return func() error {
			req := &memoryv1.RecordCorrectionRequest{ConversationId: id, RequestId: "r", ErrorContext: "x", Fact: &memoryv1.CorrectedFact{Value: "y"}}
			change(req)
			_, err := m.RecordCorrection(ctx, req)
			return err
		}
	}
	bias := func(b *memoryv1.Bias) func() error {
		return func() error {
			_, err := m.CreateBias(ctx, &memoryv1.CreateBiasRequest{RequestId: "r", Bias: b})
			return err
		}
	}
	invalid := codes.InvalidArgument
	for _, c := range []call{
		{"empty text", invalid, "", prepare(func(r *memoryv1.PrepareTurnRequest) { r.Text = "" })},
		{"text of more than a mebibyte", invalid, "", prepare(func(r *memoryv1.PrepareTurnRequest) { r.Text = long })},
		{"NUL in text", invalid, "INVALID_REQUEST", prepare(func(r *memoryv1.PrepareTurnRequest) { r.Text = "a\x00b" })},
		{"no request id", invalid, "", prepare(func(r *memoryv1.PrepareTurnRequest) { r.RequestId = "" })},
		{"request id with a space", invalid, "INVALID_REQUEST", prepare(func(r *memoryv1.PrepareTurnRequest) { r.RequestId = "r " })},
		{"tenant with a space", invalid, "INVALID_REQUEST", prepare(func(r *memoryv1.PrepareTurnRequest) { r.Tenant = "t " })},
		{"unknown conversation", codes.NotFound, "CONVERSATION_NOT_FOUND", prepare(func(r *memoryv1.PrepareTurnRequest) { r.ConversationId = unknown })},
		{"conversation id with a space", codes.NotFound, "CONVERSATION_NOT_FOUND", prepare(func(r *memoryv1.PrepareTurnRequest) { r.ConversationId += " " })},
		{"conversation id in capitals", codes.NotFound, "CONVERSATION_NOT_FOUND", prepare(func(r *memoryv1.PrepareTurnRequest) { r.ConversationId = strings.ToUpper(id) })},
		{"another tenant", codes.NotFound, "CONVERSATION_NOT_FOUND", prepare(func(r *memoryv1.PrepareTurnRequest) { r.Tenant = "other" })},
		{"lease too long", invalid, "INVALID_REQUEST", prepare(func(r *memoryv1.PrepareTurnRequest) { r.Lease = durationpb.New(time.Hour) })},
		{"lease below nothing", invalid, "INVALID_REQUEST", prepare(func(r *memoryv1.PrepareTurnRequest) { r.Lease = durationpb.New(-1) })},
		{"tokeniser unknown", invalid, "INVALID_REQUEST", prepare(func(r *memoryv1.PrepareTurnRequest) { r.Window = &memoryv1.WindowBounds{Tokenizer: "bpe"} })},
		{"too many turns", invalid, "", prepare(func(r *memoryv1.PrepareTurnRequest) { r.Window = &memoryv1.WindowBounds{MaxTurns: 65} })},
		{"NUL in pins", invalid, "INVALID_REQUEST", prepare(func(r *memoryv1.PrepareTurnRequest) { r.Pins = &memoryv1.TurnPins{Model: "a\x00"} })},
		{"nothing wrong", invalid, "INVALID_REQUEST", record(func(r *memoryv1.RecordCorrectionRequest) { r.ErrorContext = "" })},
		{"nothing right", invalid, "INVALID_REQUEST", record(func(r *memoryv1.RecordCorrectionRequest) { r.Fact = nil })},
		{"list as fact", invalid, "INVALID_REQUEST", record(func(r *memoryv1.RecordCorrectionRequest) { r.Fact.ExtraJson = "[1]" })},
		{"NUL in a fact", invalid, "INVALID_REQUEST", record(func(r *memoryv1.RecordCorrectionRequest) { r.Fact.Value = "\x00" })},
		{"unknown message", codes.NotFound, "MESSAGE_NOT_FOUND", record(func(r *memoryv1.RecordCorrectionRequest) { r.ErrorMessageId = unknown })},
		{"no message id at all", codes.NotFound, "MESSAGE_NOT_FOUND", record(func(r *memoryv1.RecordCorrectionRequest) { r.CorrectionMessageId = "first" })},
		{"message without conversation", invalid, "INVALID_REQUEST", record(func(r *memoryv1.RecordCorrectionRequest) {
			r.Scope, r.UserId, r.ConversationId, r.ErrorMessageId = memoryv1.Scope_SCOPE_USER, "ada", "", unknown
		})},
		{"scope without a place", invalid, "INVALID_REQUEST", record(func(r *memoryv1.RecordCorrectionRequest) { r.ConversationId = "" })},
		{"scope unknown", invalid, "", record(func(r *memoryv1.RecordCorrectionRequest) { r.Scope = 17 })},
		{"bias without sequence", invalid, "INVALID_REQUEST", bias(&memoryv1.Bias{ConversationId: id, StrengthLog10: 1})},
		{"no bias", invalid, "", bias(nil)},
		{"bias too strong", invalid, "INVALID_REQUEST", bias(&memoryv1.Bias{ConversationId: id, Sequence: "x", StrengthLog10: 21})},
		{"bias of no time", invalid, "INVALID_REQUEST", bias(&memoryv1.Bias{ConversationId: id, Sequence: "x", StrengthLog10: 1, ExpireTime: &timestamppb.Timestamp{Seconds: 1 << 60}})},
		{"bias of a scope unknown", invalid, "INVALID_REQUEST", bias(&memoryv1.Bias{Scope: 9, Sequence: "x", StrengthLog10: 1})},
		{"sender unknown", invalid, "", func() error {
			_, err := m.AppendMessage(ctx, &memoryv1.AppendMessageRequest{ConversationId: id, RequestId: "r", Content: "x"})
			return err
		}},
		{"NUL in metadata", invalid, "INVALID_REQUEST", func() error {
			_, err := m.CreateConversation(ctx, &memoryv1.CreateConversationRequest{Metadata: map[string]string{"k\x00": "v"}})
			return err
		}},
		{"too much metadata", invalid, "INVALID_REQUEST", func() error {
			_, err := m.CreateConversation(ctx, &memoryv1.CreateConversationRequest{Metadata: map[string]string{"k": strings.Repeat("v", 8<<10)}})
			return err
		}},
		{"empty key of metadata", invalid, "INVALID_REQUEST", func() error {
			_, err := m.CreateConversation(ctx, &memoryv1.CreateConversationRequest{Metadata: map[string]string{"": "v"}})
			return err
		}},
		{"fact without a word", invalid, "INVALID_REQUEST", func() error {
			_, err := m.RememberFact(ctx, &memoryv1.RememberFactRequest{RequestId: "r", ConversationId: id, Entity: "?", Attribute: "a", Value: "v"})
			return err
		}},
		{"finish reason unknown", invalid, "", func() error {
			_, err := m.CommitTurn(ctx, &memoryv1.CommitTurnRequest{TurnId: unknown, Content: "x", FinishReason: "tired"})
			return err
		}},
		{"page too large", invalid, "", func() error {
			_, err := m.ListMessages(ctx, &memoryv1.ListMessagesRequest{ConversationId: id, PageSize: 1001})
			return err
		}},
		{"thinning before no time", invalid, "INVALID_REQUEST", func() error {
			_, err := m.ThinTraces(ctx, &memoryv1.ThinTracesRequest{BeforeTime: &timestamppb.Timestamp{Seconds: 1 << 60}})
			return err
		}},
		{"turn unknown", codes.NotFound, "TURN_NOT_FOUND", func() error { _, err := m.GetTurn(ctx, &memoryv1.GetTurnRequest{TurnId: "x"}); return err }},
		{"fact unknown", codes.NotFound, "FACT_NOT_FOUND", func() error { _, err := m.RetireFact(ctx, &memoryv1.RetireFactRequest{FactId: unknown}); return err }},
		{"fact asked for unknown", codes.NotFound, "FACT_NOT_FOUND", func() error { _, err := m.GetFact(ctx, &memoryv1.GetFactRequest{FactId: unknown}); return err }},
		{"bias unknown", codes.NotFound, "BIAS_NOT_FOUND", func() error { _, err := m.DeleteBias(ctx, &memoryv1.DeleteBiasRequest{BiasId: unknown}); return err }},
	} {
		t.Run(c.name, func(t *testing.T) { wantCode(t, c.do(), c.code, c.reason) })
	}
	if got := must(m.GetStatistics(ctx, &memoryv1.GetStatisticsRequest{ConversationId: id}))(t).GetStatistics(); got.GetMessages() != 0 || got.GetCorrections() != 0 {
		t.Errorf("a refused request left something: %v", got)
	}
}

func TestPrivacyOverTheWire(t *testing.T) {
	each(t, func(t *testing.T, m *memory) {
		ctx := t.Context()
		c := begin(t, m)
		must(m.AppendMessage(ctx, &memoryv1.AppendMessageRequest{RequestId: "1", ConversationId: c.GetConversationId(), Sender: memoryv1.Sender_SENDER_USER, Content: strings.Repeat("long ", 150_000)}))(t)
		must(m.RememberFact(ctx, &memoryv1.RememberFactRequest{RequestId: "1", Scope: memoryv1.Scope_SCOPE_USER, UserId: "ada", Entity: "loft", Attribute: "price", Value: "42"}))(t)
		subject := &memoryv1.PrivacySubject{Subject: &memoryv1.PrivacySubject_UserId{UserId: "ada"}}
		export := func() (kinds []string) {
			stream := must(m.Export(ctx, &memoryv1.ExportRequest{Subject: subject}))(t)
			var data []byte
			for {
				resp, err := stream.Recv()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				data = append(data, resp.GetChunk()...)
			}
			for line := range strings.Lines(string(data)) {
				var object map[string]any
				if err := json.Unmarshal([]byte(line), &object); err != nil {
					t.Fatal(err)
				}
				kinds = append(kinds, fmt.Sprint(object["kind"]))
			}
			return kinds
		}
		if diff := cmp.Diff([]string{"conversation", "message", "fact"}, export()); diff != "" {
			t.Error(diff)
		}
		for range 2 { // the same request again finds it done
			stream := must(m.Erase(ctx, &memoryv1.EraseRequest{Subject: subject, RequestId: "e"}))(t)
			var last *memoryv1.EraseResponse
			for {
				resp, err := stream.Recv()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				last = resp
			}
			if !last.GetFinished() || last.GetRows() == 0 {
				t.Errorf("the last message is %v", last)
			}
		}
		if got := export(); got != nil {
			t.Errorf("after erasing: %v", got)
		}
		other := &memoryv1.PrivacySubject{Subject: &memoryv1.PrivacySubject_UserId{UserId: "bob"}}
		stream := must(m.Erase(ctx, &memoryv1.EraseRequest{Subject: other, RequestId: "e"}))(t)
		_, err := stream.Recv()
		wantCode(t, err, codes.InvalidArgument, "REQUEST_ID_REUSED")
		unknown := &memoryv1.PrivacySubject{Subject: &memoryv1.PrivacySubject_ConversationId{ConversationId: c.GetConversationId()}}
		exported := must(m.Export(ctx, &memoryv1.ExportRequest{Subject: unknown}))(t)
		_, err = exported.Recv()
		wantCode(t, err, codes.NotFound, "CONVERSATION_NOT_FOUND")
	})
}

func TestReadySaysWhatToDo(t *testing.T) {
	ctx := context.Background()
	db, err := database.Open(ctx, databasetest.SQLiteTarget(t), store.Schema, database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	service := server.New(db, server.Options{})
	defer service.Close()
	if err := service.Ready(ctx); errors.KindOf(err) != errors.FailedPrecondition || !strings.Contains(errors.Public(err), "dbslm migrate") {
		t.Errorf("without tables: %v", err)
	}
	if _, err := db.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	if err := service.Ready(ctx); err != nil {
		t.Error(err)
	}
}

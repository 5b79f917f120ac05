package server

import (
	"context"
	"strconv"
	"strings"
	"time"

	"dbslm/pkg/errors"
	"dbslm/pkg/pagetoken"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	"dbslm/services/concept"
	"dbslm/services/concept/schema"
	"dbslm/services/concept/store"

	"google.golang.org/protobuf/types/known/durationpb"
)

// defaultTTL is how long a signal waits unless told otherwise.
const defaultTTL = 300 * time.Second

// signals implements SignalService.
type signals struct {
	*Server
	conceptv1.UnimplementedSignalServiceServer
}

// PushSignal implements SignalService.
func (s *signals) PushSignal(ctx context.Context, req *conceptv1.PushSignalRequest) (*conceptv1.PushSignalResponse, error) {
	name := botOf(req.Tenant, req.Bot)
	b, err := s.bots.look(ctx, name)
	if err != nil {
		return nil, err
	}
	if _, ok := b.concepts[req.Concept]; !ok {
		return nil, store.NotFound(name, req.Concept)
	}
	if _, err := schema.Object(req.PayloadJson); err != nil {
		return nil, errors.New(errors.InvalidArgument, "BAD_PAYLOAD", "the payload is %s", errors.Public(err)).Field("payload_json", "not a JSON object")
	}
	ttl := defaultTTL
	if req.Ttl != nil {
		ttl = req.Ttl.AsDuration()
		if err := req.Ttl.CheckValid(); err != nil || ttl < 0 {
			return nil, errors.New(errors.InvalidArgument, "BAD_TTL", "the time to live must be 0 or more").Field("ttl", "negative or out of range")
		}
	}
	id, err := newID()
	if err != nil {
		return nil, err
	}
	now := s.now().UTC().Truncate(time.Microsecond)
	sig := concept.Signal{
		ID: id, Tenant: name.Tenant, Conversation: req.ConversationId, Bot: name.Name, Concept: req.Concept,
		Score: req.Score, Payload: strings.TrimSpace(req.PayloadJson), Created: now,
	}
	if sig.Score == 0 {
		sig.Score = 1
	}
	if err := schedule(&sig, req, ttl, now); err != nil {
		return nil, err
	}
	stored, err := s.store.PushSignal(ctx, sig, req.RequestId)
	if err != nil {
		return nil, err
	}
	return &conceptv1.PushSignalResponse{Signal: signalProto(stored, now)}, nil
}

const (
	// longestSchedule bounds how far ahead a signal may be due.
	longestSchedule = 10 * 366 * 24 * time.Hour
	// shortestRepeat is the least time between two times of a repeated signal.
	shortestRepeat = time.Second
)

// schedule sets when a signal is due, expires and is due again.
func schedule(sig *concept.Signal, req *conceptv1.PushSignalRequest, ttl time.Duration, now time.Time) error {
	bad := func(field, text string, args ...any) error {
		return errors.New(errors.InvalidArgument, "BAD_SCHEDULE", text, args...).Field(field, "cannot be kept")
	}
	from := now
	switch {
	case req.DueTime != nil && req.Delay != nil:
		return bad("delay", "a signal is due at a time or after a delay, not both")
	case req.DueTime != nil:
		if req.DueTime.CheckValid() != nil || req.DueTime.AsTime().Sub(now) > longestSchedule {
			return bad("due_time", "a signal must be due within ten years")
		}
		from = req.DueTime.AsTime().UTC().Truncate(time.Microsecond)
		if from.Before(now) {
			from = now
		}
	case req.Delay != nil:
		if delay := req.Delay.AsDuration(); req.Delay.CheckValid() != nil || delay < 0 || delay > longestSchedule {
			return bad("delay", "a signal must be due within ten years, and not in the past")
		}
		from = now.Add(req.Delay.AsDuration().Truncate(time.Microsecond))
	}
	if from.After(now) {
		sig.Due = from
	}
	if ttl > 0 {
		sig.Expires = from.Add(ttl)
	}
	if req.Repeat == nil || req.Repeat.AsDuration() == 0 {
		return nil
	}
	sig.Repeat = req.Repeat.AsDuration().Truncate(time.Microsecond)
	if req.Repeat.CheckValid() != nil || sig.Repeat < shortestRepeat || sig.Repeat > longestSchedule {
		return bad("repeat", "a signal is repeated after at least one second and at most ten years")
	}
	if ttl <= 0 || ttl > sig.Repeat {
		return bad("ttl", "a repeated signal must expire before it is due again: its time to live must be above 0 and at most the time between two")
	}
	sig.Due = from
	return nil
}

// ListSignals implements SignalService.
func (s *signals) ListSignals(ctx context.Context, req *conceptv1.ListSignalsRequest) (*conceptv1.ListSignalsResponse, error) {
	tenant := tenantOf(req.Tenant)
	query := []string{"ListSignals", tenant, req.ConversationId, strconv.FormatBool(req.IncludeEnded)}
	position, err := pagetoken.Decode(req.PageToken, query, 3)
	if err != nil {
		return nil, err
	}
	after := store.FirstSignal
	if position != nil {
		score, scoreErr := strconv.ParseFloat(position[0], 64)
		created, createdErr := strconv.ParseInt(position[1], 10, 64)
		if scoreErr != nil || createdErr != nil {
			return nil, pagetoken.Damaged()
		}
		after = store.SignalPosition{Score: score, Created: created, ID: position[2]}
	}
	now := s.now()
	size := pagetoken.Size(req.PageSize)
	found, err := s.store.ListSignals(ctx, tenant, req.ConversationId, req.IncludeEnded, now, after, size+1)
	if err != nil {
		return nil, err
	}
	resp := &conceptv1.ListSignalsResponse{}
	if len(found) > size {
		last := found[size-1]
		resp.NextPageToken = pagetoken.Encode(query,
			strconv.FormatFloat(last.Score, 'g', -1, 64), strconv.FormatInt(last.Created.UnixMicro(), 10), last.ID)
		found = found[:size]
	}
	for _, sig := range found {
		resp.Signals = append(resp.Signals, signalProto(sig, now))
	}
	return resp, nil
}

// CancelSignal implements SignalService.
func (s *signals) CancelSignal(ctx context.Context, req *conceptv1.CancelSignalRequest) (*conceptv1.CancelSignalResponse, error) {
	sig, err := s.store.Cancel(ctx, tenantOf(req.Tenant), req.SignalId)
	if err != nil {
		return nil, err
	}
	if sig.State != concept.SignalCancelled {
		return nil, errors.New(errors.FailedPrecondition, "SIGNAL_NOT_WAITING", "the signal is %s and can no longer be cancelled", sig.State)
	}
	return &conceptv1.CancelSignalResponse{Signal: signalProto(sig, s.now())}, nil
}

// ClaimSignal implements SignalService.
func (s *signals) ClaimSignal(ctx context.Context, req *conceptv1.ClaimSignalRequest) (*conceptv1.ClaimSignalResponse, error) {
	now := s.now()
	claims, err := s.store.Claim(ctx, botOf(req.Tenant, req.Bot), req.ConversationId, req.TurnId, req.UsedSignalIds, now)
	if err != nil {
		return nil, err
	}
	resp := &conceptv1.ClaimSignalResponse{}
	if claims.Signal != nil {
		resp.Signal = signalProto(*claims.Signal, now)
	}
	return resp, nil
}

// ConfirmSignals implements SignalService.
func (s *signals) ConfirmSignals(ctx context.Context, req *conceptv1.ConfirmSignalsRequest) (*conceptv1.ConfirmSignalsResponse, error) {
	confirmed, released, err := s.store.Settle(ctx, tenantOf(req.Tenant), req.TurnId, req.SignalIds, newID)
	if err != nil {
		return nil, err
	}
	return &conceptv1.ConfirmSignalsResponse{Confirmed: uint32(confirmed), Released: uint32(released)}, nil
}

// ReleaseSignals implements SignalService.
func (s *signals) ReleaseSignals(ctx context.Context, req *conceptv1.ReleaseSignalsRequest) (*conceptv1.ReleaseSignalsResponse, error) {
	_, released, err := s.store.Settle(ctx, tenantOf(req.Tenant), req.TurnId, nil, newID)
	if err != nil {
		return nil, err
	}
	return &conceptv1.ReleaseSignalsResponse{Released: uint32(released)}, nil
}

var signalStates = map[concept.SignalState]conceptv1.Signal_State{
	concept.SignalWaiting:   conceptv1.Signal_STATE_WAITING,
	concept.SignalClaimed:   conceptv1.Signal_STATE_CLAIMED,
	concept.SignalConfirmed: conceptv1.Signal_STATE_CONFIRMED,
	concept.SignalCancelled: conceptv1.Signal_STATE_CANCELLED,
	concept.SignalExpired:   conceptv1.Signal_STATE_EXPIRED,
}

func signalProto(sig concept.Signal, now time.Time) *conceptv1.Signal {
	sig = sig.At(now)
	state := sig.State
	if sig.Expired(now) {
		state = concept.SignalExpired
	}
	out := &conceptv1.Signal{
		SignalId: sig.ID, ConversationId: sig.Conversation, Bot: sig.Bot, Concept: sig.Concept, Score: sig.Score,
		PayloadJson: sig.Payload, State: signalStates[state], ExpireTime: timestamp(sig.Expires), TurnId: sig.Turn,
		CreateTime: timestamp(sig.Created), DueTime: timestamp(sig.Due),
	}
	if sig.Repeat > 0 {
		out.Repeat = durationpb.New(sig.Repeat)
	}
	return out
}

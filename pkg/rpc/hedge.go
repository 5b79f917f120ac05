package rpc

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Hedged calls (Dean and Barroso, The Tail at Scale, 2013): gRPC for Go has the retries of a service config, not its hedging. A call that
// only reads and is not answered for a while is made a second time, at the next address of the peer; the first answer counts, and
// the other call is cancelled. A replica that hangs then costs that while, and not the deadline of the call.

// At most one call in twenty is made twice, after a burst of ten: a peer that is slow everywhere does not get twice the load.
const (
	hedgeCost  = 20
	hedgeBurst = 10 * hedgeCost
)

type hedger struct {
	after    time.Duration
	harmless map[string]bool // methods without side effects
	credit   atomic.Int64    // each call earns 1, each second attempt costs hedgeCost
}

func newHedger(after time.Duration) *hedger {
	h := &hedger{after: after, harmless: map[string]bool{}}
	h.credit.Store(hedgeBurst)
	for _, m := range repeatableMethods(protoregistry.GlobalFiles) {
		if m.Options().(*descriptorpb.MethodOptions).GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS {
			h.harmless["/"+string(m.Parent().FullName())+"/"+string(m.Name())] = true
		}
	}
	return h
}

// earn notes a call.
func (h *hedger) earn() {
	if h.credit.Add(1) > hedgeBurst {
		h.credit.Add(-1)
	}
}

// spend reports whether a second attempt may be made.
func (h *hedger) spend() bool {
	if h.credit.Add(-hedgeCost) >= 0 {
		return true
	}
	h.credit.Add(hedgeCost)
	return false
}

// unary is the interceptor.
func (h *hedger) unary(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	into, ok := reply.(proto.Message)
	if !ok || !h.harmless[method] {
		return invoke(ctx, method, req, reply, conn, opts...)
	}
	h.earn()
	ctx, cancel := context.WithCancel(ctx)
	type answer struct {
		reply proto.Message
		err   error
	}
	answers := make(chan answer, 2)
	running := 0
	attempt := func(reply proto.Message) {
		running++
		go func() { answers <- answer{reply, invoke(ctx, method, req, reply, conn, opts...)} }()
	}
	end := func() { // a call that was cancelled returns at once, and until then it reads the request
		for cancel(); running > 0; running-- {
			<-answers
		}
	}
	defer end()
	attempt(into)
	patience := time.NewTimer(h.after)
	defer patience.Stop()
	for {
		select {
		case a := <-answers:
			if running--; running > 0 && ofReplica(status.Code(a.err)) {
				continue // the other may do better
			}
			if a.err == nil && a.reply != into {
				end()
				proto.Reset(into)
				proto.Merge(into, a.reply)
			}
			return a.err
		case <-patience.C:
			if ctx.Err() == nil && h.spend() {
				attempt(into.ProtoReflect().New().Interface())
			}
		}
	}
}

// ofReplica reports whether an error says how a replica is, and nothing of the request: one that refuses because it has too much to do
// must not end a call that another is about to answer.
func ofReplica(code codes.Code) bool {
	switch code {
	case codes.Unavailable, codes.ResourceExhausted, codes.DeadlineExceeded, codes.Canceled, codes.Aborted, codes.Internal, codes.Unknown:
		return true
	default:
		return false
	}
}

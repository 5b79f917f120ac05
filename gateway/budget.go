package gateway

import (
	"context"
	"time"

	"dbslm/pkg/errors"
)

const (
	// commitReserve is kept of a turn's deadline for storing the reply, a quarter of short ones.
	commitReserve = 2 * time.Second
	// closeGrace is how much longer than its turn, or than its caller stays, a write goes on that opens or closes it.
	closeGrace = 3 * time.Second
	// turnFloor is the least time in which a turn is begun at all.
	turnFloor = 20 * time.Millisecond
	// turnMax bounds a turn whatever deadline its caller set, so that it ends before the longest lease does.
	turnMax = 9 * time.Minute
	// leaseMargin is how much longer than its turn a lease runs. It covers two events that the caller does not read,
	// and closeGrace.
	leaseMargin = 8 * time.Second
	// leaseMax is the longest lease that memory gives.
	leaseMax = 10 * time.Minute

	// modelTimeout bounds learning which build is published, decideTimeout one call to level 3, so that one that hangs
	// leaves time for the other.
	modelTimeout  = 5 * time.Second
	decideTimeout = 5 * time.Second
	// pushTimeout bounds having a recorded correction acknowledged, confirmTimeout settling the claims of a reply.
	pushTimeout    = 2 * time.Second
	confirmTimeout = 2 * time.Second
)

// errTimeUp ends a turn that used up its own time while its caller still waits.
var errTimeUp = errors.New(errors.DeadlineExceeded, "TURN_TIME_UP", "the time for this turn is up; allow it more time")

// begin returns the context in which a turn works: it ends with errTimeUp early enough to store a reply and to
// tell it, or with the caller.
func (g *Gateway) begin(ctx context.Context) (context.Context, context.CancelFunc, error) {
	limit := g.options.TurnTimeout
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		limit = left - min(commitReserve, left/4)
		if limit < turnFloor {
			return nil, nil, errors.New(errors.DeadlineExceeded, "DEADLINE_TOO_SHORT",
				"%v are left for this turn, which needs at least %v; allow it more time", max(left, 0).Round(time.Millisecond), turnFloor*4/3)
		}
	}
	work, cancel := context.WithTimeoutCause(ctx, min(limit, turnMax), errTimeUp)
	return work, cancel, nil
}

// part gives one call at most limit and half of what is left, so that a peer that hangs does not use up the turn.
func part(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/2)
	}
	return context.WithTimeout(ctx, limit)
}

// unbroken bounds as part does, but a caller who leaves does not end it: for writes that nobody would make up for.
func unbroken(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	bounded, cancel := part(ctx, limit)
	cancel()
	deadline, _ := bounded.Deadline()
	return context.WithDeadline(context.WithoutCancel(ctx), deadline)
}

// outliving returns a context that goes on for grace after ctx has ended, for a write that must not be given up
// half-way: whether it took place would be unknown.
func outliving(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	latest := time.Now().Add(turnMax)
	if deadline, ok := ctx.Deadline(); ok {
		latest = deadline
	}
	out, cancel := context.WithDeadline(context.WithoutCancel(ctx), latest.Add(grace))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(grace):
			cancel()
		case <-out.Done():
		}
	})
	return out, func() { stop(); cancel() }
}

// leaseFor keeps a turn open longer than it may work, so that a lease never ends under a turn that still runs.
func leaseFor(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return leaseMax
	}
	return min(time.Until(deadline)+leaseMargin, leaseMax)
}

package gateway

import (
	"time"

	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
)

// patience is how long a caller may take to accept one event.
const patience = 2 * time.Second

// outlet passes the events of a turn to the caller of a stream. A caller who does not read blocks a send for as
// long as it likes, which must not hold the conversation; after one send that failed, the caller counts as gone.
// A nil outlet is a caller who wants the reply only.
type outlet struct {
	send func(*gatewayv1.StreamRespondResponse) error
	gone error
}

// put sends one event. After an error it sends nothing more: the send that blocks ends with the call.
func (o *outlet) put(event *gatewayv1.StreamRespondResponse) error {
	if o == nil || o.gone != nil {
		return o.err()
	}
	sent := make(chan error, 1)
	go func() { sent <- o.send(event) }()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case o.gone = <-sent:
	case <-timer.C:
		o.gone = errors.New(errors.Aborted, "CALLER_TOO_SLOW",
			"the reply was not read for %v and its stream was ended; repeat the request with the same request id to get it", patience)
	}
	return o.gone
}

// err is why the caller counts as gone; nil while it does not.
func (o *outlet) err() error {
	if o == nil {
		return nil
	}
	return o.gone
}

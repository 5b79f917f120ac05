package gateway

import (
	"time"

	"dbslm/pkg/errors"
)

// defaultMaxTurns is what two processors get through in about a second.
const defaultMaxTurns = 256

// overloadPause is how long a caller that found no place is told to wait.
const overloadPause = time.Second

// admit takes one of the places of work that has level 1 write: a turn, an explanation, a replay. It does not wait for one: a queue would make
// those wait who are in it, until their deadlines end what was almost done. ResourceExhausted: all are taken.
func (g *Gateway) admit() (leave func(), err error) {
	select {
	case g.places <- struct{}{}:
		return func() { <-g.places }, nil
	default:
		return nil, errors.New(errors.ResourceExhausted, "TOO_MANY_TURNS",
			"%d turns are being worked on, and there is no place for more; nothing was stored, try again", cap(g.places)).RetryAfter(overloadPause)
	}
}

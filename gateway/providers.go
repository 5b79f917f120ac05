package gateway

import (
	"sync"
	"time"

	"dbslm/pkg/errors"

	"google.golang.org/grpc"
)

// providerLimit bounds the number of provider connections kept.
const providerLimit = 64

// providers keeps connections to users' payload providers. When there are too many, the one that has been idle
// longest is closed.
type providers struct {
	dial func(address string) (*grpc.ClientConn, error)

	mu     sync.Mutex
	conns  map[string]*providerConn
	closed bool
}

type providerConn struct {
	*grpc.ClientConn
	users int
	used  time.Time
}

// acquire returns a connection that stays open until release.
func (p *providers) acquire(address string) (conn *grpc.ClientConn, release func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, errors.New(errors.Unavailable, "STOPPING", "the gateway is stopping; use another one")
	}
	c, ok := p.conns[address]
	if !ok {
		if c, err = p.open(address); err != nil {
			return nil, nil, err
		}
	}
	c.users++
	return c.ClientConn, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		c.users--
		c.used = time.Now()
	}, nil
}

// open makes room for a connection and makes it. The lock is held; dialling does not wait.
func (p *providers) open(address string) (*providerConn, error) {
	if len(p.conns) >= providerLimit {
		idle := ""
		for a, c := range p.conns {
			if c.users == 0 && (idle == "" || c.used.Before(p.conns[idle].used)) {
				idle = a
			}
		}
		if idle == "" {
			return nil, errors.New(errors.ResourceExhausted, "TOO_MANY_PROVIDERS",
				"%d payload providers are being called at once; try again later", providerLimit)
		}
		_ = p.conns[idle].Close() // nothing runs on it
		delete(p.conns, idle)
	}
	conn, err := p.dial(address)
	if err != nil {
		return nil, err
	}
	if p.conns == nil {
		p.conns = make(map[string]*providerConn)
	}
	c := &providerConn{ClientConn: conn}
	p.conns[address] = c
	return c, nil
}

func (p *providers) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, c := range p.conns {
		errs = append(errs, c.Close())
	}
	p.conns, p.closed = nil, true
	return errors.Join(errs...)
}

package database

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// lockResult is what an attempt to lock a file found.
type lockResult int

const (
	lockTaken       lockResult = iota // it is ours now
	lockHeld                          // somebody else has it
	lockUnsupported                   // this file system has no locks
)

// writerLock gives processes that write to one file their turns. SQLite's own lock keeps the data safe but is unfair: a
// trainer that begins its next transaction at once would lock out a chat for as long as it trains. Whoever wants to write
// first holds the queue, then waits for the turn, then leaves the queue; so the one who just finished has to queue behind.
// Where a file system knows no locks nothing is held and SQLite's lock alone decides.
type writerLock struct {
	queuePath, turnPath string
	mu                  sync.Mutex
	queue, turn         *os.File
	held                bool
}

func newWriterLock(dir, name string) *writerLock {
	return &writerLock{queuePath: filepath.Join(dir, name+".queue"), turnPath: filepath.Join(dir, name+".turn")}
}

// acquire returns an error only when ctx ended first.
func (l *writerLock) acquire(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queue == nil && !l.open() {
		return nil
	}
	if err := poll(ctx, l.queue); err != nil {
		return err
	}
	err := poll(ctx, l.turn)
	unlock(l.queue)
	l.held = err == nil
	return err
}

func (l *writerLock) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held {
		unlock(l.turn)
		l.held = false
	}
}

func (l *writerLock) open() bool {
	if err := os.MkdirAll(filepath.Dir(l.queuePath), 0o700); err != nil {
		return false
	}
	queue, err := os.OpenFile(l.queuePath, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false
	}
	turn, err := os.OpenFile(l.turnPath, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		_ = queue.Close()
		return false
	}
	l.queue, l.turn = queue, turn
	return true
}

func (l *writerLock) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queue != nil {
		_ = l.queue.Close()
		_ = l.turn.Close()
		l.queue, l.turn = nil, nil
	}
}

// poll tries until the lock is free; a blocking lock could not be left when ctx ends.
func poll(ctx context.Context, f *os.File) error {
	for wait := 500 * time.Microsecond; ; wait = min(2*wait, 8*time.Millisecond) {
		if tryLock(f) != lockHeld {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

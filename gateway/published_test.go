package gateway

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dbslm/pkg/errors"
)

// What serves is asked for once a second, at once after a change through this gateway, and never kept when it may have been read
// before such a change.
func TestPublishedIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		var serves atomic.Uint32
		serves.Store(1)
		var slow time.Duration
		var fails error
		p := published[uint32]{ask: func(context.Context, string, string) (uint32, error) {
			asked++
			found := serves.Load()
			time.Sleep(slow)
			return found, fails
		}}
		want := func(build uint32, times int) {
			t.Helper()
			if got, err := p.get(t.Context(), "", "bot"); err != nil || got != build || asked != times {
				t.Errorf("build %d (%v) after %d calls, want %d after %d", got, err, asked, build, times)
			}
		}
		want(1, 1)
		serves.Store(2)
		want(1, 1)
		p.forget("", "another")
		want(1, 1)
		p.forget("", "bot")
		want(2, 2)
		serves.Store(3)
		p.forgetAll()
		want(3, 3)
		time.Sleep(publishedAge)
		serves.Store(4)
		want(4, 4)

		p.forgetAll()
		slow = time.Second / 2
		go func() {
			time.Sleep(slow / 2)
			serves.Store(5)
			p.forgetAll()
		}()
		want(4, 5) // as it was when it was asked for
		slow = 0
		want(5, 6)

		time.Sleep(publishedAge)
		fails = errors.New(errors.Unavailable, "DOWN", "down")
		if _, err := p.get(t.Context(), "", "bot"); !errors.Is(err, fails) {
			t.Errorf("an old build is named although nobody can say whether it is there: %v", err)
		}
	})
}

package database

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"dbslm/pkg/errors"
)

// memoryDir is what ":memory:" stands for: a private temporary directory without flushing to disk, made when the first DB
// opens and removed when the last one closes. SQLite's own in-memory stores cannot do write-ahead logging, so there a reader
// would block the writer and behave unlike a directory; here every test on ":memory:" runs the code that production runs.
type memoryDir struct {
	mu   sync.Mutex
	open int
	path string
	lock *os.File // held while in use, so that a later process can tell litter from a neighbour
}

const memoryPattern = "dbslm-memory-"

func (m *memoryDir) acquire() (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open == 0 {
		sweepMemory()
		path, err := os.MkdirTemp("", memoryPattern)
		if err != nil {
			return "", errors.Wrap(err, errors.FailedPrecondition, reasonReadOnly, "a :memory: store needs a temporary directory; set TMPDIR to a writable one (now %s)", os.TempDir())
		}
		lock, err := os.OpenFile(filepath.Join(path, "owner"), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return "", errors.Wrap(errors.Join(err, os.RemoveAll(path)), errors.FailedPrecondition, reasonReadOnly, "cannot write in the temporary directory %s", path)
		}
		tryLock(lock) // nobody else knows the directory yet
		m.path, m.lock = path, lock
	}
	m.open++
	return m.path, nil
}

func (m *memoryDir) release() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open--
	if m.open > 0 {
		return nil
	}
	_ = m.lock.Close() // ends the lock
	if err := os.RemoveAll(m.path); err != nil {
		return fmt.Errorf("removing the :memory: store's directory: %w", err)
	}
	return nil
}

// sweepMemory removes what killed processes left behind.
func sweepMemory() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), memoryPattern+"*"))
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil || time.Since(info.ModTime()) < time.Minute {
			continue // perhaps between its creation and its lock
		}
		f, err := os.OpenFile(filepath.Join(dir, "owner"), os.O_RDWR, 0)
		if err != nil {
			continue // another user's
		}
		if tryLock(f) == lockTaken {
			_ = os.RemoveAll(dir) // best effort: the next process tries again
		}
		_ = f.Close()
	}
}

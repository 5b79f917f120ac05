//go:build !windows

package database

import (
	"os"
	"syscall"
)

// tryLock takes an exclusive lock on f unless somebody has it. The lock ends with unlock, with closing f, or with the process.
func tryLock(f *os.File) lockResult {
	for {
		switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err {
		case nil:
			return lockTaken
		case syscall.EWOULDBLOCK:
			return lockHeld
		case syscall.EINTR:
		default:
			return lockUnsupported
		}
	}
}

func unlock(f *os.File) { _ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }

//go:build windows

package database

import (
	"os"

	"golang.org/x/sys/windows"
)

// tryLock takes an exclusive lock on f unless somebody has it. The lock ends with unlock, with closing f, or with the process.
func tryLock(f *os.File) lockResult {
	flags := uint32(windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY)
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, new(windows.Overlapped))
	switch err { //nolint:errorlint // system call numbers
	case nil:
		return lockTaken
	case windows.ERROR_LOCK_VIOLATION, windows.ERROR_IO_PENDING:
		return lockHeld
	default:
		return lockUnsupported
	}
}

func unlock(f *os.File) {
	_ = windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, new(windows.Overlapped))
}

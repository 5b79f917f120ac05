package resident

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Mapping is a file in memory. What reads Bytes keeps the Mapping alive; once nothing does, the memory is given back, and the
// disk space of a file that was removed meanwhile.
type Mapping struct{ data []byte }

// Bytes of the file. They must not be changed or read after the last reference to the Mapping.
func (m *Mapping) Bytes() []byte { return m.data }

// WriteFile makes a file in one step: whoever opens the path sees nothing, the file before, or the whole new one, also after a
// crash. fill writes it; if it fails nothing is left. Several processes may write the same path at once.
func WriteFile(path string, fill func(io.Writer) error) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, "."+filepath.Base(path)+TempMark+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	lock(file) // until it is closed
	buffered := bufio.NewWriterSize(file, 1<<20)
	err = fill(buffered)
	if err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// TempMark is in the name of every file that is being written.
const TempMark = ".writing-"

// fresh is how long a file may be there before whoever writes it has locked it.
const fresh = time.Second

// stale is after how long a file that is being written is taken for one that a killed process left, where locks do not tell.
const stale = time.Hour

// Left reports whether a file with TempMark in its name was left by a process that is gone.
func Left(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	age := time.Since(info.ModTime())
	return age > stale || age > fresh && unlocked(path)
}

// syncDir makes a rename last. A file system that cannot is no worse off: the file would be made again.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync()
	return d.Close()
}

package resident

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
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

// syncDir makes a rename last. A file system that cannot is no worse off: the file would be made again.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync()
	return d.Close()
}

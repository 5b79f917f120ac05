//go:build unix

package spill

import (
	"io"
	"os"
	"syscall"
)

// mapTemporary maps a file without a name, so that a killed process leaves nothing. It is written once, because a page for
// which the disk has no room would end the process later.
func mapTemporary(bytes int) (data []byte, unmap func(), err error) {
	file, err := os.CreateTemp("", "dbslm-spill-*")
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	if err := os.Remove(file.Name()); err != nil {
		return nil, nil, err
	}
	if _, err := io.CopyN(file, zeros{}, int64(bytes)); err != nil {
		return nil, nil, err
	}
	data, err = syscall.Mmap(int(file.Fd()), 0, bytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, nil, &os.PathError{Op: "mmap", Path: file.Name(), Err: err}
	}
	return data, func() { _ = syscall.Munmap(data) }, nil
}

// zeros reads as zeros without an end.
type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Package spill makes room for large slices whose sizes are known: in memory as long as a budget lasts, then in a temporary file
// that is mapped. The system writes the pages of such a file out and drops them where it needs the memory for others; the
// process goes on as if they were there.
package spill

import (
	"fmt"
	"os"
	"unsafe"

	"dbslm/pkg/errors"
)

// Space is a budget for slices. It is not safe for concurrent use. On a nil Space all are in memory.
type Space struct {
	left   int64
	mapped int64
}

// New returns a space that takes so many bytes of memory.
func New(budget int64) *Space { return &Space{left: budget} }

// Mapped is how many bytes of files are mapped now.
func (s *Space) Mapped() int64 {
	if s == nil {
		return 0
	}
	return s.mapped
}

// Make returns an empty slice with room for n elements, and what gives it back: after that it must not be used. T must hold no
// pointers. ResourceExhausted: the temporary file could not be made, for example because its disk is full.
func Make[T any](s *Space, n int64) (slice []T, free func(), err error) {
	var element T
	bytes := n * int64(unsafe.Sizeof(element))
	if n < 0 || int64(int(bytes)) != bytes {
		return nil, nil, fmt.Errorf("spill: %d elements of %d bytes", n, unsafe.Sizeof(element))
	}
	if s == nil || bytes <= s.left || n == 0 {
		if s != nil {
			s.left -= bytes
		}
		return make([]T, 0, n), func() {
			if s != nil {
				s.left += bytes
			}
		}, nil
	}
	data, unmap, err := mapTemporary(int(bytes))
	if err != nil {
		return nil, nil, errors.Wrap(err, errors.ResourceExhausted, "TEMPORARY_FILE",
			"what a training keeps beyond its memory goes to a temporary file of %d MiB, which could not be made in %s; make room there, or allow more memory", bytes>>20, os.TempDir())
	}
	if data == nil { // the system cannot map
		return make([]T, 0, n), func() {}, nil
	}
	s.mapped += bytes
	free = func() {
		s.mapped -= bytes
		unmap()
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(data))), n)[:0], free, nil // pages are aligned for everything
}

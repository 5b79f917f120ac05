// Package extsort sorts records of one size that need not fit in memory: what exceeds a bound is sorted in runs that go to a
// temporary file, and reading merges the runs. Records are ordered by their bytes, so keys come first in them, big endian.
package extsort

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
)

// Sorter collects records, then gives them back in order, as often as asked. Not safe for concurrent use.
type Sorter struct {
	width  int
	limit  int // bytes of records in memory
	memory []byte
	order  []uint32 // of the records in memory, once sorted
	file   *os.File // of the runs; nil while all is in memory
	runs   []int64  // where each run ends
	count  int64
	frozen bool
}

// New returns a sorter of records of width bytes that keeps at most limit bytes of them in memory (at least one record).
func New(width, limit int) *Sorter {
	return &Sorter{width: width, limit: max(limit, width)}
}

// Len is the number of records.
func (s *Sorter) Len() int64 { return s.count }

// Add takes a copy of the record, whose length must be the width.
func (s *Sorter) Add(record []byte) error {
	if len(record) != s.width || s.frozen {
		return fmt.Errorf("extsort: a record of %d bytes cannot be added to records of %d", len(record), s.width)
	}
	if len(s.memory)+s.width > s.limit {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.memory = append(s.memory, record...)
	s.count++
	return nil
}

func (s *Sorter) record(i uint32) []byte {
	at := int(i) * s.width
	return s.memory[at : at+s.width]
}

func (s *Sorter) sort() {
	s.order = s.order[:0]
	for i := range len(s.memory) / s.width {
		s.order = append(s.order, uint32(i))
	}
	slices.SortFunc(s.order, func(a, b uint32) int { return bytes.Compare(s.record(a), s.record(b)) })
}

// spill writes the records in memory as one run. The file has no name any more where the system allows that, so that a
// killed process leaves nothing.
func (s *Sorter) spill() error {
	if s.file == nil {
		file, err := os.CreateTemp("", "dbslm-sort-*")
		if err != nil {
			return err
		}
		s.file = file
		_ = os.Remove(file.Name()) // Close removes it where an open file cannot be
	}
	s.sort()
	w := bufio.NewWriterSize(s.file, 1<<20)
	for _, i := range s.order {
		if _, err := w.Write(s.record(i)); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	end := int64(len(s.memory))
	if len(s.runs) > 0 {
		end += s.runs[len(s.runs)-1]
	}
	s.runs = append(s.runs, end)
	s.memory = s.memory[:0]
	return nil
}

// Sorted ends the collecting and returns a reader of all records in order. It may be called again for another reader.
func (s *Sorter) Sorted() (*Reader, error) {
	if !s.frozen {
		s.frozen = true
		if s.file != nil {
			if err := s.spill(); err != nil {
				return nil, err
			}
			s.memory, s.order = nil, nil
		} else {
			s.sort()
		}
	}
	r := &Reader{sorter: s}
	begin := int64(0)
	for _, end := range s.runs {
		size := int(min(end-begin, 64<<10))
		c := &cursor{from: bufio.NewReaderSize(io.NewSectionReader(s.file, begin, end-begin), max(size, s.width)), record: make([]byte, s.width)}
		begin = end
		more, err := c.next()
		if err != nil {
			return nil, err
		}
		if more {
			r.heap = append(r.heap, c)
		}
	}
	for i := len(r.heap)/2 - 1; i >= 0; i-- {
		r.sink(i)
	}
	return r, nil
}

// Close removes the file. It may be called at any time, and more than once.
func (s *Sorter) Close() error {
	s.memory, s.order, s.frozen = nil, nil, true
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	_ = os.Remove(s.file.Name()) // gone already, as a rule
	s.file, s.runs = nil, nil
	return err
}

// Reader reads the records of a sorter in order. It is valid until the sorter is closed.
type Reader struct {
	sorter *Sorter
	at     int
	heap   []*cursor // least record first
	begun  bool
}

// cursor is a place in a run.
type cursor struct {
	from   *bufio.Reader
	record []byte
}

func (c *cursor) next() (more bool, err error) {
	_, err = io.ReadFull(c.from, c.record)
	if err == io.EOF {
		return false, nil
	}
	return err == nil, err
}

// Next returns the next record, valid until the next call, or io.EOF.
func (r *Reader) Next() ([]byte, error) {
	if r.sorter.file == nil {
		if r.at == len(r.sorter.order) {
			return nil, io.EOF
		}
		r.at++
		return r.sorter.record(r.sorter.order[r.at-1]), nil
	}
	if r.begun && len(r.heap) > 0 {
		more, err := r.heap[0].next()
		if err != nil {
			return nil, err
		}
		if !more {
			last := len(r.heap) - 1
			r.heap[0] = r.heap[last]
			r.heap = r.heap[:last]
		}
		r.sink(0)
	}
	r.begun = true
	if len(r.heap) == 0 {
		return nil, io.EOF
	}
	return r.heap[0].record, nil
}

func (r *Reader) sink(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(r.heap); child++ {
			if bytes.Compare(r.heap[child].record, r.heap[least].record) < 0 {
				least = child
			}
		}
		if least == i {
			return
		}
		r.heap[i], r.heap[least] = r.heap[least], r.heap[i]
		i = least
	}
}

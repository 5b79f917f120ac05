package main

import (
	"encoding/binary"
	"fmt"
	"io"

	"dbslm/pkg/dialogue"
	"dbslm/services/ngram/extsort"

	"github.com/cespare/xxhash/v2"
)

const (
	// placeWidth is a hash and the number of a record, placeMemory what of them stays in memory.
	placeWidth  = 16
	placeMemory = 8 << 20
	maxLabel    = 512
)

// division checks the documents that the records of a file name: the records of one follow each other and agree on its weight.
// It takes the same memory for any number of documents.
type division struct {
	in     input
	begun  *extsort.Sorter // hashes of names, with the record in which the document begins
	now    dialogue.Dialogue
	record uint64 // the number of the record at hand, from 1
}

func newDivision(in input) *division {
	return &division{in: in, begun: extsort.New(placeWidth, placeMemory)}
}

func (d *division) close() { _ = d.begun.Close() } // what it held is not needed

// add takes the next record.
func (d *division) add(next dialogue.Dialogue) error {
	d.record++
	if d.record > 1 && next.Document == d.now.Document {
		if next.Weight != d.now.Weight {
			return usagef("%s: line %d: expected the weight %d that document %q has since line %d, found %d", d.in.label, next.Line, d.now.Weight, next.Document, d.now.Line, next.Weight)
		}
		return nil
	}
	if label := d.in.part(next.Document); len(label) > maxLabel {
		return usagef("%s: line %d: expected a label of at most %d bytes, found %q, which has %d", d.in.label, next.Line, maxLabel, label, len(label))
	}
	d.now = next
	d.now.Text = ""
	var place [placeWidth]byte
	binary.BigEndian.PutUint64(place[:], xxhash.Sum64String(next.Document))
	binary.BigEndian.PutUint64(place[8:], d.record)
	return d.begun.Add(place[:])
}

// end reports a document whose records do not follow each other.
func (d *division) end(encoding string) error {
	sorted, err := d.begun.Sorted()
	if err != nil {
		return err
	}
	var before [placeWidth]byte
	for first := true; ; first = false {
		place, err := sorted.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if !first && [8]byte(place[:8]) == [8]byte(before[:8]) {
			if err := d.compare(encoding, binary.BigEndian.Uint64(before[8:]), binary.BigEndian.Uint64(place[8:])); err != nil {
				return err
			}
		}
		before = [placeWidth]byte(place)
	}
}

// compare reads the names of two documents with one hash again: they may differ.
func (d *division) compare(encoding string, first, second uint64) error {
	content, err := d.in.content(encoding, nil)
	if err != nil {
		return err
	}
	defer content.Close()
	reader, err := dialogue.NewReader(content, d.in.label, d.in.dialogues.format, d.in.dialogues.mapping, d.in.dialogues.layout)
	if err != nil {
		return err
	}
	var begin dialogue.Dialogue
	for number := uint64(1); ; number++ {
		next, err := reader.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case number == first:
			begin = next
		case number == second && next.Document == begin.Document:
			return usagef("%s: line %d: expected the records of a document behind each other, found document %q again, which begins in line %d and ended before",
				d.in.label, next.Line, next.Document, begin.Line)
		case number == second:
			return nil
		}
	}
}

// line is where the dialogue begins whose text holds a byte, for errors that name an offset; "" for plain text.
func (in input) line(encoding string, offset int64, size func(string) int64) string {
	if in.dialogues == nil {
		return ""
	}
	content, err := in.content(encoding, nil)
	if err != nil {
		return ""
	}
	defer content.Close()
	reader, err := dialogue.NewReader(content, in.label, in.dialogues.format, in.dialogues.mapping, in.dialogues.layout)
	for at := int64(0); err == nil; {
		var next dialogue.Dialogue
		if next, err = reader.Next(); err == nil {
			if at += size(next.Text); at > offset {
				return fmt.Sprintf(", in the record of line %d", next.Line)
			}
		}
	}
	return ""
}

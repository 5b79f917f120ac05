package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"dbslm/pkg/dialogue"
	"dbslm/pkg/errors"
	"dbslm/pkg/text"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/pflag"
)

// reading says how files become text: their encoding, and which of them hold dialogues.
type reading struct {
	encoding, format, mapping string
}

func (r *reading) register(flags *pflag.FlagSet) {
	flags.StringVar(&r.encoding, "encoding", "utf-8", "encoding of the texts, by `name`; a byte order mark wins")
	flags.StringVar(&r.mapping, "mapping", "", "`file` that says which fields of dialogues to read (default NAME.mapping.yaml beside the data)")
	flags.StringVar(&r.format, "format", "auto", "`format` of the files: auto (by name and mapping), text, json, ndjson, csv or tsv")
}

// recordFormats are the values of --format that name dialogues.
var recordFormats = map[string]dialogue.Format{"json": dialogue.JSON, "ndjson": dialogue.NDJSON, "csv": dialogue.CSV, "tsv": dialogue.TSV}

// dialogues is how to read a file of dialogues.
type dialogues struct {
	mapping  *dialogue.Mapping
	format   dialogue.Format
	layout   dialogue.Layout
	document string // read only this one; "" reads all
}

// divided says whether the records name documents, so that the file is not one itself.
func (d *dialogues) divided() bool { return d != nil && d.mapping.Document != "" }

// recognise finds out whether an input is text or dialogues. A name that ends in .txt means text.
func (r reading) recognise(in *input) error {
	format, known := recordFormats[r.format]
	switch {
	case r.format == "text" && r.mapping != "":
		return usagef("--format text and --mapping exclude each other; a mapping is of dialogues")
	case r.format == "text":
		return nil
	case !known && r.format != "auto" && r.format != "":
		return usagef("--format %q is unknown; use one of: auto, text, json, ndjson, csv, tsv", r.format)
	case isText(in.path):
		return nil
	}
	if !known {
		format = dialogue.FormatOf(in.path)
	}
	path := r.mapping
	if path == "" && in.path != "" {
		path = mappingBeside(in.path)
	}
	if path == "" && format == "" {
		return nil
	}
	if path == "" {
		return unmapped(*in, format, r.encoding)
	}
	mapping, err := readMapping(path)
	if err != nil {
		return err
	}
	in.dialogues = &dialogues{mapping: mapping, format: format}
	return nil
}

func isText(path string) bool {
	return strings.HasSuffix(strings.ToLower(dialogue.Uncompressed(path)), ".txt")
}

// mappingBeside finds data.ndjson.mapping.yaml or data.mapping.yaml beside data.ndjson; "" if there is none. Only the longer name
// makes a file whose name tells no format one of dialogues.
func mappingBeside(path string) string {
	whole := dialogue.Uncompressed(path)
	bases := []string{whole}
	if dot := strings.LastIndexByte(whole, '.'); dialogue.FormatOf(path) != "" && dot > strings.LastIndexByte(whole, os.PathSeparator)+1 {
		bases = append(bases, whole[:dot])
	}
	for _, base := range bases {
		for _, ending := range mappingEndings {
			if info, err := os.Stat(base + ending); err == nil && info.Mode().IsRegular() {
				return base + ending
			}
		}
	}
	return ""
}

var mappingEndings = []string{".mapping.yaml", ".mapping.yml", ".mapping.json"}

// isData says whether a file in a directory holds dialogues to train on.
func (r reading) isData(path string) bool {
	if dialogue.FormatOf(path) == "" || r.format == "text" {
		return false
	}
	for _, ending := range mappingEndings {
		if strings.HasSuffix(path, ending) {
			return false
		}
	}
	return r.mapping != "" || mappingBeside(path) != ""
}

func readMapping(path string) (*dialogue.Mapping, error) {
	path, err := expandHome(path)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, usagef("cannot read %s: %v", path, reason(err))
	}
	mapping, err := dialogue.ParseMapping(label(path), data)
	if err != nil {
		return nil, usageError{err}
	}
	return mapping, nil
}

// unmapped is the error of dialogues of which nobody said what to read.
func unmapped(in input, format dialogue.Format, encoding string) error {
	whole := dialogue.Uncompressed(in.path)
	beside := "a file named by --mapping"
	if dot := strings.LastIndexByte(whole, '.'); dot > 0 {
		beside = whole[:dot] + mappingEndings[0]
	}
	fields := ""
	if in.path != "" && !in.once {
		if r, err := in.content(encoding, nil); err == nil {
			if names := dialogue.Fields(r, format); len(names) > 0 {
				fields = fmt.Sprintf("; its first record has the fields %s", strings.Join(names, ", "))
			}
			_ = r.Close()
		}
	}
	return usagef(`%s holds records of %s: say in %s what to read of them, as "prompt: question" and "response: answer"%s; `+
		`--format text trains on it as it is`, in.label, format, beside, fields)
}

// layoutFor keeps the parts of dialogues apart so that a sentence ends with each.
func layoutFor(tokenizer ngramv1.TokenizerKind) dialogue.Layout {
	switch tokenizer {
	case ngramv1.TokenizerKind_TOKENIZER_KIND_WHITESPACE, ngramv1.TokenizerKind_TOKENIZER_KIND_BYTES:
		return dialogue.Lines
	}
	return dialogue.Paragraphs
}

// laidOut are the inputs as a model of that tokeniser reads them.
func laidOut(inputs []input, tokenizer ngramv1.TokenizerKind) []input {
	for i, in := range inputs {
		if in.dialogues != nil {
			d := *in.dialogues
			d.layout = layoutFor(tokenizer)
			inputs[i].dialogues = &d
		}
	}
	return inputs
}

// content returns what a file holds as UTF-8, unpacked; passed, if it is not nil, counts the bytes of the file that were read.
func (in input) content(encoding string, passed *uint64) (io.ReadCloser, error) {
	var f io.ReadCloser
	if in.spool != nil {
		f = io.NopCloser(io.NewSectionReader(in.spool, 0, in.size))
	} else {
		var err error
		if f, err = os.Open(in.path); err != nil {
			return nil, usagef("cannot read %s: %v", in.label, reason(err))
		}
	}
	var file io.Reader = f
	if passed != nil {
		file = readerFunc(func(p []byte) (int, error) {
			n, err := f.Read(p)
			*passed += uint64(n)
			return n, err
		})
	}
	unpacked, _, err := text.Decompress(file)
	if err != nil {
		return nil, errors.Join(textError(err, in.label), f.Close())
	}
	decoded, err := text.Decode(unpacked, encoding, in.label)
	if err != nil {
		return nil, errors.Join(err, unpacked.Close(), f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{decoded, closers{unpacked, f}}, nil
}

type closers []io.Closer

// Close implements io.Closer.
func (c closers) Close() error {
	var err error
	for _, closer := range c {
		err = errors.Join(err, closer.Close())
	}
	return err
}

// open returns the input's text as UTF-8; that of dialogues as it is trained.
func (in input) open(encoding string) (io.ReadCloser, error) { return in.opened(encoding, nil) }

func (in input) opened(encoding string, passed *uint64) (io.ReadCloser, error) {
	content, err := in.content(encoding, passed)
	if err != nil || in.dialogues == nil {
		return content, err
	}
	reader, err := dialogue.NewReader(content, in.label, in.dialogues.format, in.dialogues.mapping, in.dialogues.layout)
	if err != nil {
		return nil, errors.Join(textError(err, in.label), content.Close())
	}
	return &told{reader: reader, only: in.dialogues.document, Closer: content}, nil
}

// told is the text of dialogues.
type told struct {
	io.Closer
	reader *dialogue.Reader
	only   string
	rest   string
	// Of the dialogue at hand.
	now   dialogue.Dialogue
	seen  func(dialogue.Dialogue) error // may be nil
	ended error
}

// Read implements io.Reader.
func (t *told) Read(p []byte) (int, error) {
	for t.rest == "" {
		if t.ended != nil {
			return 0, t.ended
		}
		if t.now, t.ended = t.reader.Next(); t.ended == nil && t.seen != nil {
			t.ended = t.seen(t.now)
		}
		if t.ended == nil && (t.only == "" || t.only == t.now.Document) {
			t.rest = t.now.Text
		}
	}
	n := copy(p, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}

// documents calls yield for every document of the input, in order: one, or those that its records name. A weight of 0 is none
// of its own. What yield leaves of a text is passed over.
func (in input) documents(encoding string, yield func(label string, weight uint32, text io.Reader) error) error {
	if !in.dialogues.divided() || in.dialogues.document != "" {
		r, err := in.open(encoding)
		if err != nil {
			return err
		}
		defer r.Close()
		return yield(in.label, 0, r)
	}
	content, err := in.content(encoding, nil)
	if err != nil {
		return err
	}
	defer content.Close()
	reader, err := dialogue.NewReader(content, in.label, in.dialogues.format, in.dialogues.mapping, in.dialogues.layout)
	if err != nil {
		return err
	}
	ahead, err := reader.Next()
	for err == nil {
		document, rest := ahead.Document, ahead.Text
		text := readerFunc(func(p []byte) (int, error) {
			for rest == "" {
				if err == nil && ahead.Document == document {
					ahead, err = reader.Next()
				}
				if err != nil {
					return 0, err
				}
				if ahead.Document != document {
					return 0, io.EOF
				}
				rest = ahead.Text
			}
			n := copy(p, rest)
			rest = rest[n:]
			return n, nil
		})
		if err := yield(in.part(document), ahead.Weight, text); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, text); err != nil {
			return err
		}
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// part is the label of a document that records name.
func (in input) part(document string) string { return in.label + "#" + document }

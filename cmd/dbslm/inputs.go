package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"dbslm/pkg/errors"
	"dbslm/pkg/text"
)

// stdinLabel names what is read from standard input.
const stdinLabel = "<stdin>"

// input is one document to train on or to evaluate.
type input struct {
	label string
	path  string
	size  int64     // bytes of the file
	text  int64     // bytes of the text, once it was checked
	once  bool      // a pipe or a device, which can be read only once
	from  io.Reader // standard input; nil for what has a path
	spool *os.File  // what was read once and kept; nil for what has a path

	dialogues *dialogues // nil for plain text
}

// findInputs turns arguments into files: a file of any extension is text unless it holds dialogues, a directory means its
// sorted *.txt files, compressed or not, and its dialogues that have a mapping, with recursive those below it too.
func findInputs(args []string, recursive bool, read reading) ([]input, error) {
	var found []input
	seen := map[string]bool{}
	for _, arg := range args {
		path, err := expandHome(arg)
		if err != nil {
			return nil, err
		}
		files, err := filesOf(path, recursive, read)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if seen[f.label] {
				continue
			}
			seen[f.label] = true
			if err := checkLabel(f.label); err != nil {
				return nil, err
			}
			if err := read.recognise(&f); err != nil {
				return nil, err
			}
			found = append(found, f)
		}
	}
	return found, nil
}

// oneFile is the input of a command that takes a single text.
func oneFile(arg string) (input, error) {
	path, err := expandHome(arg)
	if err != nil {
		return input{}, err
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return input{}, usagef("%s is a directory; name one file", arg)
	}
	found, err := filesOf(path, false, reading{})
	if err != nil {
		return input{}, err
	}
	return found[0], nil
}

func filesOf(path string, recursive bool, read reading) ([]input, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, usagef("cannot read %s: %v", path, reason(err))
	}
	if !info.IsDir() {
		return []input{{label: label(path), path: path, size: info.Size(), once: !info.Mode().IsRegular()}}, nil
	}
	var files []input
	root := path + string(filepath.Separator) // so that a link to a directory is walked too
	err = filepath.WalkDir(root, func(p string, entry fs.DirEntry, err error) error {
		if err != nil {
			return usagef("cannot read %s: %v", p, reason(err))
		}
		if entry.IsDir() {
			if p != root && !recursive {
				return fs.SkipDir
			}
			return nil
		}
		if !isText(p) && !read.isData(p) {
			return nil
		}
		info, err := os.Stat(p) // follows links
		if err != nil {
			return usagef("cannot read %s: %v", p, reason(err))
		}
		if info.Mode().IsRegular() {
			files = append(files, input{label: label(p), path: p, size: info.Size()})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		hint := ""
		if !recursive {
			hint = "; --recursive looks below it too"
		}
		return nil, usagef("directory %s holds no .txt file%s", path, hint)
	}
	slices.SortFunc(files, func(a, b input) int { return strings.Compare(a.label, b.label) })
	return files, nil
}

// label names a file in the model, the same however its path was written.
func label(path string) string { return filepath.ToSlash(filepath.Clean(path)) }

// labelBytes is the longest label, as the API says.
const labelBytes = 512

func checkLabel(label string) error {
	switch {
	case !utf8.ValidString(label):
		return usagef("the name of %q is not UTF-8, and it names the text in the model; rename the file", label)
	case len(label) > labelBytes:
		return usagef("the path %s… has %d bytes, and it names the text in the model, where %d fit; go into the directory and give a shorter one",
			strings.ToValidUTF8(label[:40], ""), len(label), labelBytes)
	}
	return nil
}

func expandHome(path string) (string, error) {
	if path != "~" && !strings.HasPrefix(path, "~/") {
		return path, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", usagef("cannot find the home directory for %s: %v", path, err)
	}
	return filepath.Join(home, path[1:]), nil
}

// spooled copies what can be read only once (standard input, a pipe) to a temporary file, so that it can be
// checked before anything is changed. The cleanup is never nil.
func (in input) spooled(ctx context.Context) (_ input, cleanup func(), err error) {
	cleanup = func() {}
	from := in.from
	if from == nil && !in.once {
		return in, cleanup, nil
	}
	if from == nil {
		from = &pipe{path: in.path}
	}
	f, err := os.CreateTemp("", "dbslm-input-*")
	if err != nil {
		return in, cleanup, usagef("%s cannot be kept in the temporary directory: %v", in.label, reason(err))
	}
	_ = os.Remove(f.Name()) // so that a killed process leaves nothing; where an open file cannot be removed, cleanup does it
	cleanup = func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}
	size, err := io.Copy(f, interruptible(ctx, from))
	if ctx.Err() != nil {
		return in, cleanup, ctx.Err()
	}
	var usage usageError
	if errors.As(err, &usage) {
		return in, cleanup, usage
	}
	if err != nil {
		return in, cleanup, usagef("%s cannot be kept in %s: %v", in.label, f.Name(), reason(err))
	}
	return input{label: in.label, spool: f, size: size, dialogues: in.dialogues}, cleanup, nil
}

// pipe is opened by its first read and closed at its end: opening a named pipe waits until somebody writes to it.
type pipe struct {
	path string
	file *os.File
}

// Read implements io.Reader.
func (p *pipe) Read(b []byte) (n int, err error) {
	if p.file == nil {
		if p.file, err = os.Open(p.path); err != nil {
			return 0, usagef("cannot read %s: %v", p.path, reason(err))
		}
	}
	if n, err = p.file.Read(b); err != nil {
		_ = p.file.Close() // nothing was written
	}
	return n, err
}

// openNamed opens a file, or standard input for "-".
func (a *app) openNamed(ctx context.Context, name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(interruptible(ctx, a.in)), nil
	}
	path, err := expandHome(name)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, usagef("%v", err)
	}
	return file, nil
}

// interruptible makes reads end when ctx does. The read in progress goes on in the background: this is for
// standard input and pipes, where it may wait for a person.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		type result struct {
			n   int
			err error
		}
		buf := make([]byte, len(p)) // p is the caller's again once ctx has ended
		done := make(chan result, 1)
		go func() {
			n, err := r.Read(buf)
			done <- result{n, err}
		}()
		select {
		case got := <-done:
			return copy(p, buf[:got.n]), got.err
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// finding is what a first reading finds out about a text.
type finding struct {
	bytes int64
	blank bool   // it holds nothing but white space
	nuls  uint64 // NUL bytes, which no text has, but one that is in another encoding
}

// checkText reads an input to its end and reports the first byte that its encoding does not allow, and the first record that
// is none. passed counts the bytes of the file that were read; show is called as they grow. Both may be nil.
func (in input) checkText(ctx context.Context, encoding string, passed *uint64, show func()) (found finding, err error) {
	r, err := in.opened(encoding, passed)
	if err != nil {
		return found, err
	}
	defer r.Close()
	var divided *division
	if in.dialogues.divided() && in.dialogues.document == "" {
		divided = newDivision(in)
		defer divided.close()
		r.(*told).seen = divided.add
	}
	found.blank = true
	buf := make([]byte, 256<<10)
	for ctx.Err() == nil {
		n, err := r.Read(buf)
		if found.blank && len(bytes.TrimSpace(buf[:n])) > 0 {
			found.blank = false
		}
		found.bytes += int64(n)
		found.nuls += uint64(bytes.Count(buf[:n], []byte{0}))
		if show != nil {
			show()
		}
		if err == io.EOF && divided != nil {
			return found, divided.end(encoding)
		}
		if err == io.EOF {
			return found, nil
		}
		if err != nil {
			return found, textError(err, in.label)
		}
	}
	return found, ctx.Err()
}

// warnOfNULs says that a text may be in another encoding than the one it was read in.
func (a *app) warnOfNULs(in input, found finding) {
	if found.nuls > 0 {
		fmt.Fprintf(a.err, "warning: %s holds %s; is it in another encoding, such as --encoding utf-16le?\n", in.label, plural(found.nuls, "NUL byte", "NUL bytes"))
	}
}

// textError makes a failure to read a text one line for people.
func textError(err error, label string) error {
	var bad *text.EncodingError
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return usage
	case errors.As(err, &bad), errors.ReasonOf(err) == "DIALOGUE_MALFORMED", errors.ReasonOf(err) == "FORMAT_UNKNOWN":
		return usageError{err}
	case errors.ReasonOf(err) == "COMPRESSION_DAMAGED":
		return usagef("%s: %s", label, errors.Public(err))
	}
	return usagef("cannot read %s: %v", label, reason(err))
}

// reason is the innermost cause of a file error, without the path that the message names already.
func reason(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

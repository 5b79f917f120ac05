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
	once  bool      // a pipe or a device, which can be read only once
	from  io.Reader // standard input; nil for what has a path
}

// findInputs turns arguments into files: a file of any extension is text, a directory means its sorted *.txt
// files, with recursive those below it too.
func findInputs(args []string, recursive bool) ([]input, error) {
	var found []input
	seen := map[string]bool{}
	for _, arg := range args {
		path, err := expandHome(arg)
		if err != nil {
			return nil, err
		}
		files, err := filesOf(path, recursive)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if !seen[f.label] {
				seen[f.label] = true
				found = append(found, f)
			}
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
	found, err := filesOf(path, false)
	if err != nil {
		return input{}, err
	}
	return found[0], nil
}

func filesOf(path string, recursive bool) ([]input, error) {
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
		if !strings.EqualFold(filepath.Ext(p), ".txt") {
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
	cleanup = func() { _ = os.Remove(f.Name()) }
	size, err := io.Copy(f, interruptible(ctx, from))
	err = errors.Join(err, f.Close())
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
	return input{label: in.label, path: f.Name(), size: size}, cleanup, nil
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

// open returns the input's text as UTF-8.
func (in input) open(encoding string) (io.ReadCloser, error) {
	f, err := os.Open(in.path)
	if err != nil {
		return nil, usagef("cannot read %s: %v", in.label, reason(err))
	}
	r, err := text.Decode(f, encoding, in.label)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{r, f}, nil
}

// content is what a first reading finds out about a text.
type content struct {
	blank bool   // it holds nothing but white space
	nuls  uint64 // NUL bytes, which no text has, but one that is in another encoding
}

// checkText reads an input to its end and reports the first byte that its encoding does not allow.
func (in input) checkText(ctx context.Context, encoding string) (found content, err error) {
	r, err := in.open(encoding)
	if err != nil {
		return found, err
	}
	defer r.Close()
	found.blank = true
	buf := make([]byte, 256<<10)
	for ctx.Err() == nil {
		n, err := r.Read(buf)
		if found.blank && len(bytes.TrimSpace(buf[:n])) > 0 {
			found.blank = false
		}
		found.nuls += uint64(bytes.Count(buf[:n], []byte{0}))
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
func (a *app) warnOfNULs(in input, found content) {
	if found.nuls > 0 {
		fmt.Fprintf(a.err, "warning: %s holds %s; is it in another encoding, such as --encoding utf-16le?\n", in.label, plural(found.nuls, "NUL byte", "NUL bytes"))
	}
}

// textError makes a failure to read a text one line for people.
func textError(err error, label string) error {
	var bad *text.EncodingError
	if errors.As(err, &bad) {
		return usageError{err}
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

package main

import (
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
	size  int64 // bytes of the file
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

func filesOf(path string, recursive bool) ([]input, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, usagef("cannot read %s: %v", path, reason(err))
	}
	if !info.IsDir() {
		return []input{{label: label(path), path: path, size: info.Size()}}, nil
	}
	var files []input
	err = filepath.WalkDir(path, func(p string, entry fs.DirEntry, err error) error {
		if err != nil {
			return usagef("cannot read %s: %v", p, reason(err))
		}
		if entry.IsDir() {
			if p != path && !recursive {
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

// spool copies standard input to a temporary file, so that it can be checked before anything is changed.
func spool(in io.Reader) (found input, cleanup func(), err error) {
	f, err := os.CreateTemp("", "dbslm-stdin-*")
	if err != nil {
		return input{}, nil, errors.Wrap(err, errors.ResourceExhausted, "NO_TEMPORARY_FILE", "standard input cannot be stored: %v", err)
	}
	cleanup = func() { _ = os.Remove(f.Name()) }
	size, err := io.Copy(f, in)
	if err = errors.Join(err, f.Close()); err != nil {
		cleanup()
		return input{}, nil, errors.Wrap(err, errors.ResourceExhausted, "STDIN_UNREADABLE", "standard input cannot be stored: %v", err)
	}
	return input{label: stdinLabel, path: f.Name(), size: size}, cleanup, nil
}

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

// checkText reads an input to its end and reports the first byte that its encoding does not allow, and
// whether it holds anything but white space.
func (in input) checkText(encoding string) (blank bool, err error) {
	r, err := in.open(encoding)
	if err != nil {
		return false, err
	}
	defer r.Close()
	blank = true
	buf := make([]byte, 256<<10)
	for {
		n, err := r.Read(buf)
		if blank && strings.TrimSpace(string(buf[:n])) != "" {
			blank = false
		}
		if err == io.EOF {
			return blank, nil
		}
		if err != nil {
			return false, textError(err, in.label)
		}
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

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"dbslm/pkg/errors"

	"github.com/peterh/liner"
	"golang.org/x/term"
)

// errLongLine is a line that no message could hold; what follows it can be read.
var errLongLine = errors.New(errors.InvalidArgument, "LINE_TOO_LONG", "the line is longer than 1 MiB, the longest message; shorten it")

// lineReader reads lines with a prompt: with editing and recall at a terminal. Elsewhere it shows each line that it
// reads behind the prompt, so that the output reads as the conversation it is.
type lineReader struct {
	prompt string
	out    io.Writer
	editor *liner.State // nil off a terminal
	narrow bool         // the terminal was too narrow to edit in
	reader *bufio.Reader
	ctrlC  chan os.Signal // at a terminal; nobody reads it, but while it is there Ctrl-C does not end the process
}

func newLineReader(s streams, prompt string) *lineReader {
	r := &lineReader{prompt: prompt, out: s.out}
	if terminal(s.in) && terminal(s.out) {
		r.open()
		signal.Reset(os.Interrupt)
		r.ctrlC = make(chan os.Signal, 1)
		signal.Notify(r.ctrlC, os.Interrupt)
	} else {
		r.reader = bufio.NewReaderSize(s.in, 64<<10)
	}
	return r
}

func (r *lineReader) open() {
	r.editor = liner.NewLiner()
	r.editor.SetCtrlCAborts(true)
}

// fit has lines edited again once the terminal is wide enough: a terminal in a container has no width at first, and the editor, which does
// not edit then, would never look again.
func (r *lineReader) fit() {
	columns, _, err := term.GetSize(int(os.Stdout.Fd()))
	narrow := err == nil && columns < len(r.prompt)+10
	if r.narrow && !narrow {
		var past bytes.Buffer
		_, _ = r.editor.WriteHistory(&past)
		_ = r.editor.Close()
		r.open()
		_, _ = r.editor.ReadHistory(&past)
	}
	r.narrow = narrow
}

// read returns the next line. It returns io.EOF at the end of the input and after Ctrl-C, ctx's error once ctx has
// ended, and errLongLine for a line that is too long.
func (r *lineReader) read(ctx context.Context) (string, error) {
	type result struct {
		line string
		err  error
	}
	if r.editor != nil {
		r.fit()
	}
	done := make(chan result, 1)
	go func() { // goes on after ctx has ended, until the process does
		if r.editor != nil {
			line, err := r.editor.Prompt(r.prompt)
			done <- result{line, err}
			return
		}
		line, err := readLine(r.reader)
		done <- result{line, err}
	}()
	var got result
	select {
	case got = <-done:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	switch {
	case r.editor == nil && got.err == nil && strings.TrimSpace(got.line) != "":
		fmt.Fprintln(r.out, r.prompt+strings.ToValidUTF8(got.line, "\uFFFD"))
	case r.editor != nil && got.err == nil && strings.TrimSpace(got.line) != "":
		r.editor.AppendHistory(got.line)
	case errors.Is(got.err, liner.ErrPromptAborted):
		fmt.Fprintln(r.out)
		return "", io.EOF
	case r.editor != nil && got.err == io.EOF:
		fmt.Fprintln(r.out)
	}
	return got.line, got.err
}

// readLine reads up to the end of a line or of the input. Of a line that is too long it keeps nothing.
func readLine(r *bufio.Reader) (string, error) {
	var line []byte
	long := false
	for {
		part, err := r.ReadSlice('\n')
		if long = long || len(line)+len(part) > maxSaid+2; long { // two bytes may end it
			line = nil
		} else {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF && len(line) == 0 && !long:
			return "", io.EOF
		case err != nil && err != io.EOF:
			return "", usagef("standard input cannot be read: %v", reason(err))
		case long:
			return "", errLongLine
		}
		return strings.TrimRight(string(line), "\r\n"), nil
	}
}

// untilCtrlC is a context that ends with Ctrl-C too, if there is somebody who goes on after it.
func (r *lineReader) untilCtrlC(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.editor == nil {
		return ctx, func() {}
	}
	return signal.NotifyContext(ctx, os.Interrupt)
}

// close restores the terminal.
func (r *lineReader) close() {
	if r.editor != nil {
		_ = r.editor.Close()
		signal.Stop(r.ctrlC)
	}
}

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/peterh/liner"
)

// maxLine is the longest line of a conversation, in bytes: what a message may hold, and a margin to notice more.
const maxLine = 1<<20 + 4096

// lineReader reads lines with a prompt: with editing and recall at a terminal, plainly elsewhere.
type lineReader struct {
	prompt string
	out    io.Writer
	editor *liner.State // nil off a terminal
	lines  chan lineRead
	asked  chan struct{}
}

type lineRead struct {
	line string
	err  error
}

func newLineReader(s streams, prompt string) *lineReader {
	r := &lineReader{prompt: prompt, out: s.out, lines: make(chan lineRead, 1), asked: make(chan struct{}, 1)}
	if terminal(s.in) && terminal(s.out) {
		r.editor = liner.NewLiner()
		r.editor.SetCtrlCAborts(true)
		return r
	}
	go r.scan(s.in)
	return r
}

// scan reads lines off a terminal, in a goroutine of its own so that Ctrl-C need not wait for input.
func (r *lineReader) scan(in io.Reader) {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(make([]byte, 64<<10), maxLine)
	for range r.asked {
		if scanner.Scan() {
			r.lines <- lineRead{line: scanner.Text()}
			continue
		}
		err := scanner.Err()
		switch {
		case err == nil:
			err = io.EOF
		case err == bufio.ErrTooLong:
			err = usagef("a line is longer than 1 MiB; shorten it")
		}
		r.lines <- lineRead{err: err}
		return
	}
}

// read returns the next line; io.EOF at the end of the input and after Ctrl-C.
func (r *lineReader) read(ctx context.Context) (string, error) {
	if r.editor != nil {
		line, err := r.editor.Prompt(r.prompt)
		if err == liner.ErrPromptAborted {
			return "", io.EOF
		}
		if err == nil && strings.TrimSpace(line) != "" {
			r.editor.AppendHistory(line)
		}
		return line, err
	}
	fmt.Fprint(r.out, r.prompt)
	r.asked <- struct{}{}
	select {
	case read := <-r.lines:
		return read.line, read.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// close restores the terminal.
func (r *lineReader) close() {
	close(r.asked)
	if r.editor != nil {
		_ = r.editor.Close()
	}
}

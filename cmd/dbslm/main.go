// Command dbslm trains, serves and talks to DB-SLM, a language model kept in relational tables.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"unicode/utf8"

	"dbslm/pkg/errors"
)

// version is set when a release is built (-ldflags "-X main.version=…").
var version = "unknown"

// Exit codes.
const (
	exitOK          = 0
	exitFailure     = 1   // something out of the caller's hands failed; trying again may help
	exitUsage       = 2   // the command cannot be done as given; nothing was changed
	exitPaused      = 3   // the time given was up; the same command goes on
	exitInterrupted = 130 // Ctrl-C
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	code := run(ctx, os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(code)
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, s streams) int {
	if terminal(s.out) {
		s.out = &visible{to: s.out}
	}
	if terminal(s.err) {
		s.err = &visible{to: s.err}
	}
	out := &output{Writer: s.out}
	s.out = out
	root := newRoot(s)
	root.SetArgs(append([]string{}, args...)) // nil would have cobra look at os.Args
	cmd, err := root, wordsAreText(args)
	if err == nil {
		cmd, err = root.ExecuteContextC(ctx)
	}
	if err == nil {
		err = out.failed
	}
	if err == nil {
		return exitOK
	}
	code := exitCode(ctx, err)
	if code == exitInterrupted {
		if terminal(s.err) {
			fmt.Fprintln(s.err) // the terminal shows ^C
		}
		fmt.Fprintln(s.err, "dbslm: interrupted"+cmd.Annotations[afterInterrupt])
		return code
	}
	fmt.Fprintln(s.err, "dbslm: "+message(err))
	return code
}

// wordsAreText refuses what no message can carry.
func wordsAreText(args []string) error {
	for _, arg := range args {
		if !utf8.ValidString(arg) {
			return usagef("%.60q is not UTF-8; write it in UTF-8, or rename the file", arg)
		}
	}
	return nil
}

// output is a stream that remembers the first write that failed: a command that could not say what it has to say has failed.
type output struct {
	io.Writer
	failed error
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil && o.failed == nil {
		o.failed = err
	}
	return n, err
}

// afterInterrupt annotates a command with what a person should know after Ctrl-C.
const afterInterrupt = "after interrupt"

func exitCode(ctx context.Context, err error) int {
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	var paused pausedError
	if errors.As(err, &paused) || errors.ReasonOf(err) == "JOB_PAUSED" {
		return exitPaused
	}
	switch errors.KindOf(err) {
	case errors.InvalidArgument, errors.NotFound, errors.AlreadyExists, errors.FailedPrecondition, errors.OutOfRange,
		errors.PermissionDenied, errors.Unauthenticated, errors.Unimplemented, errors.DataLoss:
		return exitUsage
	}
	if ctx.Err() != nil {
		return exitInterrupted
	}
	return exitFailure
}

// message is what a person reads of an error: one line.
func message(err error) string {
	var usage usageError
	if errors.As(err, &usage) {
		return oneLine(usage.Error())
	}
	if known, ok := errors.AsType[*errors.Error](err); ok {
		return oneLine(hint(known))
	}
	return oneLine(err.Error()) // of this program's own doing: an output that cannot be written, for example
}

// hint adds to an error what only the command line knows: the flag that helps.
func hint(err *errors.Error) string {
	switch err.Reason() {
	case "PLAINTEXT_REFUSED":
		return err.Public() + ": --tls-ca or --plaintext-peers"
	default:
		return err.Public()
	}
}

// usageError is a command line that cannot be understood or done as given.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// pausedError says that the time was up and what was done is kept.
type pausedError struct{ error }

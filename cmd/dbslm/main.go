// Command dbslm trains, serves and talks to DB-SLM, a language model kept in relational tables.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

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
func run(ctx context.Context, args []string, io streams) int {
	root := newRoot(io)
	root.SetArgs(append([]string{}, args...)) // nil would have cobra look at os.Args
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	code := exitCode(ctx, err)
	if code == exitInterrupted {
		if terminal(io.err) {
			fmt.Fprintln(io.err) // the terminal shows ^C
		}
		fmt.Fprintln(io.err, "dbslm: interrupted"+cmd.Annotations[afterInterrupt])
		return code
	}
	fmt.Fprintln(io.err, "dbslm: "+message(err))
	return code
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
		return err.Public() + ": --plaintext-peers"
	default:
		return err.Public()
	}
}

// usageError is a command line that cannot be understood or done as given.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// pausedError says that the time was up and what was done is kept.
type pausedError struct{ error }

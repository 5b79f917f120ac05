package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// session is dbslm at a terminal, and the person in front of it.
type session struct {
	t      *testing.T
	cmd    *exec.Cmd
	keys   *os.File // the person's side
	mu     sync.Mutex
	screen strings.Builder
	closed chan struct{}
}

// atTerminal starts dbslm at a pseudo-terminal of 100 columns.
func atTerminal(t *testing.T, args ...string) *session {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(person.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 100})
	}
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &session{t: t, cmd: process(t.Context(), args...), keys: person, closed: make(chan struct{})}
	s.cmd.Env = append(s.cmd.Env, "TERM=xterm")
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = terminal, terminal, terminal
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := terminal.Close(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.closed)
		buf := make([]byte, 4096)
		for {
			n, err := person.Read(buf)
			s.mu.Lock()
			s.screen.Write(buf[:n])
			s.mu.Unlock()
			if err != nil { // the process has ended
				return
			}
		}
	}()
	t.Cleanup(func() {
		if s.cmd.ProcessState == nil {
			_ = s.cmd.Process.Kill()
			_ = s.cmd.Wait()
		}
		_ = person.Close()
		<-s.closed
	})
	return s
}

func (s *session) shown() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.screen.String()
}

// sees waits until the text is on the screen; what was there before does not count.
func (s *session) sees(text string) {
	s.t.Helper()
	for range 1200 {
		shown := s.shown()
		if _, after, ok := strings.Cut(shown, text); ok {
			s.mu.Lock()
			s.screen.Reset()
			s.screen.WriteString(after)
			s.mu.Unlock()
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	s.t.Fatalf("never saw %q; the screen has:\n%q", text, s.shown())
}

func (s *session) types(keys string) {
	s.t.Helper()
	if _, err := s.keys.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// resize gives the terminal so many columns; the process hears of it.
func (s *session) resize(columns uint16) {
	s.t.Helper()
	if err := unix.IoctlSetWinsize(int(s.keys.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: columns}); err != nil {
		s.t.Fatal(err)
	}
}

// leaves waits for the end of the process and returns its exit code.
func (s *session) leaves() int {
	s.t.Helper()
	done := make(chan struct{})
	go func() {
		select {
		case <-done:
		case <-time.After(30 * time.Second):
			s.t.Error("the command does not end")
			_ = s.cmd.Process.Kill()
		}
	}()
	_ = s.cmd.Wait()
	close(done)
	<-s.closed
	return s.cmd.ProcessState.ExitCode()
}

// Progress bars end with what they show, whether documents are many or one.
func TestProgressBars(t *testing.T) {
	inNewDir(t)
	s := atTerminal(t, "train", corpus(), "--db", "store")
	s.sees("01-about.txt: ")
	s.sees("11-alphabet.txt: ")
	s.sees("build: ")
	s.sees("build 1: published")
	if code := s.leaves(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	s = atTerminal(t, "eval", corpus()+"/01-about.txt", "--db", "store")
	s.sees("perplexity with unknown tokens")
	if code := s.leaves(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// A conversation at a terminal: editing, recall, commands, and every way to leave.
func TestConversationAtTerminal(t *testing.T) {
	inHarbour(t)
	succeed(t, "train", "harbour.txt", "--db", "store")
	s := atTerminal(t, "chat", "--db", "store")
	s.sees("Using conversation: ")
	s.sees("you> ")
	s.types("Who countz\x7fs the boats?\r")
	s.sees("assistant> ")
	s.sees("you> ")
	s.types(":history\r")
	s.sees("User: Who counts the boats?")
	s.sees("you> ")
	s.types(":nonsense\r")
	s.sees("error: unknown command :nonsense; :help lists them")
	s.sees("you> ")
	s.types("\x1b[A\x1b[A\x1b[A") // up, three times: the question again
	s.sees("Who counts the boats?")
	s.types("\r")
	s.sees("assistant> ")
	s.sees("you> ")
	s.types("\x04") // Ctrl-D
	s.sees("Conversation ended after 2 turns.")
	if code := s.leaves(); code != exitOK {
		t.Errorf("Ctrl-D: exit code %d", code)
	}

	s = atTerminal(t, "chat", "--db", "store")
	s.sees("you> ")
	s.types("Half a senten\x03") // Ctrl-C
	s.sees("Conversation ended after 0 turns.")
	if code := s.leaves(); code != exitOK {
		t.Errorf("Ctrl-C: exit code %d", code)
	}

	s = atTerminal(t, "chat", "--db", "store")
	s.sees("you> ")
	s.types(":quit\r")
	s.sees("Conversation ended after 0 turns.")
	if code := s.leaves(); code != exitOK {
		t.Errorf(":quit: exit code %d", code)
	}

	s = atTerminal(t, "chat", "--db", "store")
	s.sees("you> ")
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.sees("Conversation ended after 0 turns.")
	if code := s.leaves(); code != exitOK {
		t.Errorf("SIGTERM: exit code %d", code)
	}
}

// At a terminal --reset asks, and only yes is yes.
func TestResetAsks(t *testing.T) {
	inHarbour(t)
	succeed(t, "train", "harbour.txt", "--db", "store")
	before := modelOf(t, place{[]string{"--db", "store"}}, "default")
	for _, answer := range []struct {
		keys string
		code int
	}{{"n\r", exitUsage}, {"\r", exitUsage}, {"\x04", exitUsage}, {"\x03", exitInterrupted}, {"y\r", exitOK}} {
		s := atTerminal(t, "train", "harbour.txt", "--db", "store", "--reset", "--no-build")
		s.sees(`Empty model "default" in store (1 document, 124 tokens)? [y/N] `)
		s.types(answer.keys)
		if code := s.leaves(); code != answer.code {
			t.Errorf("%q: exit code %d, want %d; the screen has:\n%s", answer.keys, code, answer.code, s.shown())
		}
		after := modelOf(t, place{[]string{"--db", "store"}}, "default")
		if unchanged := after.Stale == before.Stale; unchanged != (answer.code != exitOK) {
			t.Errorf("%q: %+v", answer.keys, after)
		}
	}
}

// A named pipe that nobody writes to can be left with Ctrl-C.
func TestInterruptedPipe(t *testing.T) {
	inNewDir(t)
	if err := syscall.Mkfifo("pipe.txt", 0o600); err != nil {
		t.Fatal(err)
	}
	cmd, wait := started(t, "train", "pipe.txt", "--db", "store")
	time.Sleep(500 * time.Millisecond)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	asked := time.Now()
	if r := wait(); r.code != exitInterrupted || time.Since(asked) > 5*time.Second {
		t.Errorf("%+v after %v", r, time.Since(asked))
	}
}

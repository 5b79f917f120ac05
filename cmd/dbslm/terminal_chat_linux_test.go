package main

import (
	"net"
	"strings"
	"testing"
	"unicode"
)

// slowBot makes a bot in the file bot.yaml whose one concept asks a provider that takes calls and never answers; asked tells of each.
func slowBot(t *testing.T) (asked <-chan struct{}) {
	t.Helper()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	calls := make(chan struct{}, 16)
	go func() {
		for {
			conn, err := silent.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			calls <- struct{}{}
		}
	}()
	write(t, "bot.yaml", `concepts:
  Tide:
    schema: {height: string}
    provider: `+silent.Addr().String()+`
    templates: ["The tide is at {height}."]
    examples: ["How high is the tide?", "What is the height of the tide?"]
`)
	return calls
}

// Ctrl-C while a reply is made ends the reply and not the conversation.
func TestStoppedReplyAtTerminal(t *testing.T) {
	inHarbour(t)
	asked := slowBot(t)
	succeed(t, "train", "harbour.txt", "--db", "store")
	succeed(t, "concepts", "apply", "bot.yaml", "--db", "store")
	s := atTerminal(t, "chat", "--db", "store")
	s.sees("you> ")
	s.types("How high is the tide?\r")
	<-asked
	s.types("\x03")
	s.sees("stopped; Ctrl-D leaves")
	s.sees("you> ")
	s.types("Who counts the boats?\r")
	s.sees("assistant> ")
	s.sees("you> ")
	s.types(":history\r")
	s.sees("Assistant: (nothing: cancelled)")
	s.sees("User: Who counts the boats?")
	s.sees("you> ")
	s.types("\x03")
	s.sees("Conversation ended after 1 turn.")
	if code := s.leaves(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// Whatever can be typed can be said, and comes back as it was: scripts of both directions, signs of several characters, lines longer
// than the terminal is wide.
func TestAnyTextAtTerminal(t *testing.T) {
	inHarbour(t)
	succeed(t, "train", "harbour.txt", "--db", "store")
	s := atTerminal(t, "chat", "--db", "store")
	for _, text := range []string{"שלום, who counts مرحبا?", "漢字 and 👩‍👩‍👧 and e\u0301?", strings.TrimSpace(strings.Repeat("boats ", 120))} {
		s.sees("you> ")
		s.types(text + "\r")
		s.sees("assistant> ")
		s.sees("you> ")
		s.types(":history\r")
		s.sees("User: " + text + "\r\n")
	}
	s.sees("you> ")
	s.types("\x04")
	if code := s.leaves(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// A terminal that was too narrow to edit in is edited in once it is wide.
func TestWidenedTerminal(t *testing.T) {
	inHarbour(t)
	succeed(t, "train", "harbour.txt", "--db", "store")
	s := atTerminal(t, "chat", "--db", "store")
	s.sees("you> ")
	s.resize(8)
	s.types("Who counts the boats?\r")
	s.sees("assistant> ")
	s.sees("you> ")
	s.resize(100)
	s.types("Who bakes?\n") // the line that was begun in the narrow one
	s.sees("assistant> ")
	s.sees("you> ")
	s.types("\x1b[A\x1b[A") // up, twice
	s.sees("Who counts the boats?")
	s.types("\x15")
	s.types("\x04")
	if code := s.leaves(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// A person is not given JSON line by line.
func TestNoJSONAtTerminal(t *testing.T) {
	inHarbour(t)
	succeed(t, "train", "harbour.txt", "--db", "store")
	s := atTerminal(t, "chat", "--json", "--db", "store")
	s.sees("--json is for programs: it needs --prompt, or lines on standard input")
	if code := s.leaves(); code != exitUsage {
		t.Errorf("exit code %d", code)
	}
}

// A terminal obeys nothing that somebody said, in no command.
func TestTextsDoNotDriveTheTerminal(t *testing.T) {
	inHarbour(t)
	const evil = "x\x1b]0;owned\x07\x1b[2J\u009b31my\rz\x7f"
	write(t, "evil.txt", strings.Repeat("The boats count "+evil+" today.\n", 9))
	succeed(t, "train", "harbour.txt", "evil.txt", "--db", "store")
	succeed(t, "remember", "boats", "count", evil, "--user", "mara", "--db", "store")
	succeed(t, "chat", "--prompt", evil, "--db", "store")
	for _, args := range [][]string{
		{"facts"},
		{"chat", "--prompt", "the boats count " + evil},
		{"chat", "--user", evil, "--prompt", "boats"},
		{"documents"},
		{"predict", "The boats count x"},
		{"score", evil},
		{"models", "show", evil},
	} {
		s := atTerminal(t, append(args, "--db", "store")...)
		s.leaves()
		screen := strings.ReplaceAll(s.shown(), "\r\n", "\n") // as the terminal itself ends lines
		if i := strings.IndexFunc(screen, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }); i >= 0 {
			t.Errorf("%q: the terminal gets %q", args, screen[i:min(i+20, len(screen))])
		}
		if strings.TrimSpace(screen) == "" {
			t.Errorf("%q shows nothing", args)
		}
	}
	line, _, _ := strings.Cut(evil, "\r") // facts are listed in a line each
	if out := invoke(t, "facts", "--db", "store").out; !strings.Contains(out, line) {
		t.Errorf("off a terminal the text is not as it was: %q", out)
	}
}

package decoding

import "strings"

// stopper watches the text of a reply for stop sequences. It holds back the end of the text as long as it may be the
// beginning of one, so that nothing of a stop sequence is ever sent.
type stopper struct {
	stops []string
	held  string
}

// push takes the next piece of text and returns what may be sent. stopped is true when a stop sequence was met; the
// returned text then ends before it, and the rest is dropped.
func (s *stopper) push(piece string) (text string, stopped bool) {
	if len(s.stops) == 0 {
		return piece, false
	}
	s.held += piece
	at := -1
	for _, stop := range s.stops {
		if i := strings.Index(s.held, stop); i >= 0 && (at < 0 || i < at) {
			at = i
		}
	}
	if at >= 0 {
		text, s.held = s.held[:at], ""
		return text, true
	}
	keep := 0
	for _, stop := range s.stops {
		keep = max(keep, overlap(s.held, stop))
	}
	text, s.held = s.held[:len(s.held)-keep], s.held[len(s.held)-keep:]
	return text, false
}

// flush returns what is still held back, at the end of a reply.
func (s *stopper) flush() string {
	text := s.held
	s.held = ""
	return text
}

// overlap is the length of the longest proper prefix of stop with which text ends.
func overlap(text, stop string) int {
	for n := min(len(text), len(stop)-1); n > 0; n-- {
		if strings.HasSuffix(text, stop[:n]) {
			return n
		}
	}
	return 0
}

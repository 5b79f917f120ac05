package main

import (
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// visible writes for a terminal. What somebody said, trained or corrected may hold control characters, and a terminal would obey them: move
// its cursor over what stands there, change its title, answer in the place of the person. They are shown as signs, all but the ends of
// lines and tabs. A pipe or a file gets texts as they are.
type visible struct {
	to   io.Writer
	mu   sync.Mutex
	half []byte // the beginning of a character whose end was not written yet
}

// Write implements io.Writer.
func (v *visible) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	text := append(v.half, p...)
	v.half = nil
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		if !utf8.FullRune(text) {
			v.half = append(v.half, text...)
			break
		}
		r, n := utf8.DecodeRune(text)
		if r == '\r' && len(text) == 1 {
			v.half = append(v.half, text...) // the end of a line, perhaps
			break
		}
		switch {
		case r == '\n' || r == '\t' || r == '\r' && text[1] == '\n':
			out = append(out, text[:n]...)
		case r < ' ':
			out = utf8.AppendRune(out, '␀'+r)
		case r == 0x7F:
			out = append(out, "␡"...)
		case r >= 0x80 && r < 0xA0 || r == utf8.RuneError && n == 1: // some terminals obey the bytes 0x80 to 0x9F too
			out = append(out, "\uFFFD"...)
		default:
			out = append(out, text[:n]...)
		}
		text = text[n:]
	}
	if _, err := v.to.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// shown is a text as visible writes it.
func shown(text string) string {
	var b strings.Builder
	_, _ = (&visible{to: &b}).Write([]byte(text))
	return b.String()
}

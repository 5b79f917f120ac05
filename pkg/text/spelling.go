package text

import (
	"unicode"
	"unicode/utf8"
)

// lowerInto writes the model token of a word to the arena: lower case, straight apostrophes, without
// invisible characters; and the written form too, if that has invisible characters.
func (s *wordScanner) lowerInto(sp *span) {
	sp.text = len(s.arena)
	invisible := false
	for i := sp.start; i < sp.end; {
		c := s.data[i]
		if c < utf8.RuneSelf {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			s.arena = append(s.arena, c)
			i++
			continue
		}
		r, size := utf8.DecodeRune(s.data[i:sp.end])
		i += size
		switch {
		case r == curlyApostrophe || r == letterApostrophe || r == '‘':
			r = apostrophe
		case classOf(s.classes, r)&classMask == classInvisible:
			invisible = true
			continue
		}
		s.arena = utf8.AppendRune(s.arena, unicode.ToLower(r))
	}
	sp.textEnd = len(s.arena)
	if !invisible {
		return
	}
	sp.written = len(s.arena)
	for i := sp.start; i < sp.end; {
		r, size := s.rune(i)
		if classOf(s.classes, r)&classMask != classInvisible {
			s.arena = append(s.arena, s.data[i:i+size]...)
		}
		i += size
	}
	sp.writtenTo = len(s.arena)
}

// lowered returns a piece of the window in lower case, for looking it up in a table; the next call
// overwrites it.
func (s *wordScanner) lowered(start, end int) []byte {
	s.scratch = s.scratch[:0]
	for i := start; i < end; {
		r, size := s.rune(i)
		s.scratch = utf8.AppendRune(s.scratch, unicode.ToLower(r))
		i += size
	}
	return s.scratch
}

// spell sets the model token of a span. The arena holds it even where it is what is written; end sees that.
func (s *wordScanner) spell(sp *span, spelling string) {
	sp.text = len(s.arena)
	s.arena = append(s.arena, spelling...)
	sp.textEnd = len(s.arena)
}

// spacing reports whether the token from s.at to end is set apart by spaces on either side. A side says
// nothing where a space could not tell: at a line end, because lines are wrapped on either side of a
// dash, at the edge of the sentence, and next to a mark that attaches to the token. It counts as the
// other side does.
func (s *wordScanner) spacing(end int) (before, after bool) {
	before, after = s.sentence.space, s.classAt(end)&classMask == classSpace
	silentBefore := len(s.spans) == 0 || s.sentence.newline || (!before && s.sentence.afterOpener)
	silentAfter := end >= len(s.data)
	if after {
		silentAfter = silentAfter || s.gap(end).newline
	} else {
		r, _ := s.rune(end)
		k := markRole(r)
		silentAfter = isClosing(r) || k == roleComma || k == roleColon || k == roleEnd
	}
	switch {
	case silentBefore && silentAfter:
		return false, false
	case silentBefore:
		before = after
	case silentAfter:
		after = before
	}
	return before, after
}

// spacedSurface gives a token whose spacing is a matter of style a surface with the spaces it has here;
// of a suffix like % only the space before it is one.
func (s *wordScanner) spacedSurface(sp *span, k role) {
	before, after := s.spacing(sp.end)
	if k == roleSuffix {
		before, after = s.sentence.space && !s.sentence.newline && len(s.spans) > 0, false
	}
	if !before && !after {
		return
	}
	sp.written = len(s.arena)
	if before {
		s.arena = append(s.arena, ' ')
	}
	s.arena = append(s.arena, s.data[sp.start:sp.end]...)
	if after {
		s.arena = append(s.arena, ' ')
	}
	sp.writtenTo = len(s.arena)
}

// frenchSurface keeps the space that French sets inside « » and before ! ? ; : as part of the surface.
// Before other marks than « » only a no-break space counts: an ordinary one there is a slip.
func (s *wordScanner) frenchSurface(sp *span, k role) {
	angle := k == roleOpenQuote || k == roleCloseQuote
	sp.written = len(s.arena)
	switch {
	case k == roleOpenQuote:
		if r, size := s.spaceAt(sp.end); r == noBreakSpace || r == narrowNoBreak || r == ' ' {
			s.arena = append(s.arena, s.data[sp.start:sp.end+size]...)
		}
	case len(s.spans) > 0 && s.sentence.space:
		before := s.spans[len(s.spans)-1].end
		if r, size := s.spaceAt(before); before+size == sp.start && (r == noBreakSpace || r == narrowNoBreak || (angle && r == ' ')) {
			s.arena = append(s.arena, s.data[before:sp.end]...)
		}
	}
	sp.writtenTo = len(s.arena)
}

func (s *wordScanner) spaceAt(i int) (rune, int) {
	if i >= len(s.data) {
		return 0, 0
	}
	return s.rune(i)
}

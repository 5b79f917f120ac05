package text

// punctuation notes the token that begins with r, which is no letter, number or space.
func (s *wordScanner) punctuation(r rune, size int) {
	switch r {
	case zeroWidthJoiner, zeroWidthNonJoin:
		s.at += size // nothing to join
		return
	case '"', '“', '”', '„', '‟', '«', '»':
		s.quote(r, size, openQuote, closeQuote, &s.sentence.openDouble)
		return
	case '\'', '‘', '’', '‚', '‛', '‹', '›':
		if isApostrophe(r) || r == '‘' {
			if s.clipped(r, size) || (s.leans() && s.isClitic(s.at+size)) {
				s.word(s.at)
				return
			}
			if r != '‘' && s.possesses(size) {
				sp := span{start: s.at, end: s.at + size}
				s.spell(&sp, possessive)
				s.pushMark(sp, roleClitic)
				return
			}
		}
		s.quote(r, size, openSingle, closeSingle, &s.sentence.openSingle)
		return
	case '.', '…':
		if end := s.runOf("….", s.at); r == '…' || end > s.at+1 {
			s.ellipsis(end)
			return
		}
	case '-':
		if end := s.runOf("-", s.at); end > s.at+1 {
			s.dash(end)
			return
		}
		if before, after := s.spacing(s.at + 1); before && after {
			s.dash(s.at + 1)
			return
		}
	case '—', '―':
		s.dash(s.at + size)
		return
	case '–', '‒':
		if before, after := s.spacing(s.at + size); before && after {
			s.dash(s.at + size)
			return
		}
	}
	sp := span{start: s.at, end: s.symbolEnd(r, s.at+size)}
	k := markRole(r)
	switch k {
	case roleNeutral, roleSuffix:
		s.spacedSurface(&sp, k)
	case roleEnd, roleComma, roleColon:
		s.frenchSurface(&sp, k)
	}
	s.pushMark(sp, k)
}

// pushMark adds a token that is not a word.
func (s *wordScanner) pushMark(sp span, k role) {
	s.spans = append(s.spans, sp)
	s.at = sp.end
	s.placement.mark(k)
	state := &s.sentence
	switch k {
	case roleEnd, roleWideEnd:
		state.ended, state.closed = true, false
		state.wide = k == roleWideEnd
		state.trailing = false
	case roleCloseQuote, roleClose, roleWideClose:
		state.closed = state.ended
		state.ended = state.ended && (k != roleWideClose || state.wide)
	default:
		state.ended, state.closed, state.wide, state.trailing = false, false, false, false
	}
	state.afterWord = false
	state.afterOpener = k == roleOpen || k == roleOpenQuote || k == roleNeutral || k == roleWideOpen
}

// ellipsis notes a run of dots. Some set it apart from the word before it.
func (s *wordScanner) ellipsis(end int) {
	sp := span{start: s.at, end: end}
	s.spell(&sp, ellipsis)
	if len(s.spans) > 0 && s.sentence.space && !s.sentence.newline {
		sp.written = len(s.arena)
		s.arena = append(append(s.arena, ' '), s.data[sp.start:sp.end]...)
		sp.writtenTo = len(s.arena)
	}
	s.pushMark(sp, roleEnd)
	s.sentence.trailing = true
}

// dash notes a dash, however it is typed: "—", "--", " - ", " – ".
func (s *wordScanner) dash(end int) {
	sp := span{start: s.at, end: end}
	s.spell(&sp, dash)
	s.spacedSurface(&sp, roleNeutral)
	s.pushMark(sp, roleNeutral)
}

// runOf returns the end of the run of characters out of set at i, at most as long as a token may be.
func (s *wordScanner) runOf(set string, i int) int {
	for limit := i + maxWordBytes; i < len(s.data) && i < limit; {
		r, size := s.rune(i)
		found := false
		for _, c := range set {
			found = found || c == r
		}
		if !found {
			break
		}
		i += size
	}
	return i
}

// clipped reports whether the apostrophe at s.at begins a word: "'tis", "'90s", "’em". A curly apostrophe
// that is no closing quote can be nothing else.
func (s *wordScanner) clipped(r rune, size int) bool {
	next := s.classAt(s.at + size)
	if next&classMask != classWord || (!s.sentence.space && s.sentence.afterWord) {
		return false
	}
	if r == curlyApostrophe {
		return true
	}
	end := s.at + size
	for end < len(s.data) && end-s.at < maxWordBytes && s.classes[s.data[end]]&classMask == classWord {
		end++
	}
	if next&flagNumber != 0 {
		return end-s.at-size <= 3
	}
	return clippedWords[string(s.lowered(s.at+size, end))]
}

// possesses reports whether the apostrophe at s.at, of that size, marks the possessive of a plural:
// "the soldiers' camp". Inside single quotes it is taken for the closing one.
func (s *wordScanner) possesses(size int) bool {
	if !s.leans() || !s.sentence.afterWord || s.sentence.openSingle > 0 || s.classAt(s.at+size)&classMask == classWord {
		return false
	}
	last := s.data[s.at-1]
	return last == 's' || last == 'S'
}

// leans reports whether something stands directly before the next token that a clitic can lean on.
func (s *wordScanner) leans() bool {
	return len(s.spans) > 0 && !s.sentence.space && !s.sentence.afterOpener
}

// quote notes a quotation mark. Its direction is that of the character unless the spaces around it say
// the opposite (German „…“ and »…«, Swedish ”…”); a straight one goes by the spaces, then by turns.
func (s *wordScanner) quote(r rune, size int, open, closing string, depth *int) {
	end := s.at + size
	before := s.sentence.space || s.sentence.afterOpener
	next := s.classAt(end)
	after := next&classMask == classSpace
	if !after && next&classMask == classOther {
		n, _ := s.rune(end)
		k := markRole(n)
		after = k == roleEnd || k == roleComma || k == roleColon || k == roleClose || k == roleCloseQuote || n == '—' || (n == '-' && end+1 < len(s.data) && s.data[end+1] == '-')
	}
	opens := *depth == 0
	switch {
	case before != after:
		opens = before
	case r == '“' || r == '‘' || r == '«' || r == '‹' || r == '„' || r == '‚':
		opens = true
	case r == '”' || r == '’' || r == '»' || r == '›':
		opens = false
	}
	spelling, k := closing, roleCloseQuote
	if opens {
		spelling, k = open, roleOpenQuote
		*depth++
	} else if *depth > 0 {
		*depth--
	}
	sp := span{start: s.at, end: end}
	s.spell(&sp, spelling)
	if r == '«' || r == '»' || r == '‹' || r == '›' {
		s.frenchSurface(&sp, k)
	}
	s.pushMark(sp, k)
}

// symbolEnd extends a symbol by what makes one picture of it: marks, emoji joined by a zero-width
// joiner, the second letter of a flag.
func (s *wordScanner) symbolEnd(r rune, i int) int {
	if r >= firstRegional && r <= lastRegional && i < len(s.data) {
		if second, size := s.rune(i); second >= firstRegional && second <= lastRegional {
			return i + size
		}
	}
	for limit := i + maxWordBytes/2; i < limit; {
		end := s.marksAfter(i)
		if end == i || end >= len(s.data) || end >= limit {
			return end
		}
		const joiner = "\u200d"
		if end-i < len(joiner) || string(s.data[end-len(joiner):end]) != joiner || s.classAt(end)&classMask != classOther {
			return end
		}
		_, size := s.rune(end)
		i = end + size
	}
	return i
}

package converse

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"dbslm/pkg/text"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
)

// Category is what is judged of a reply.
type Category string

// The categories: the first two are judged where a turn expects something, the others of every reply.
const (
	Answered     Category = "answered"
	CorrectFact  Category = "correct fact"
	NoRepetition Category = "no repetition"
	EndsWell     Category = "ends well"
	WellWritten  Category = "well written"
	NoCopy       Category = "no copy"
)

// Categories lists them as reports do.
func Categories() []Category {
	return []Category{Answered, CorrectFact, NoRepetition, EndsWell, WellWritten, NoCopy}
}

// verdict is the judgement of one reply in one category; why is empty when it passed.
type verdict struct {
	category Category
	why      string
}

// expected judges a reply by what its turn expects.
func (e *Expect) expected(reply string, trace *gatewayv1.Trace) (out []verdict) {
	if e == nil {
		return nil
	}
	judge := func(category Category, ok bool, format string, args ...any) {
		v := verdict{category: category}
		if !ok {
			v.why = fmt.Sprintf(format, args...)
		}
		out = append(out, v)
	}
	concepts, languages := spoken(trace)
	if e.Concept != nil {
		ok := slices.Contains(concepts, *e.Concept) || *e.Concept == "" && len(concepts) == 0
		judge(Answered, ok, "concept %q was to speak, and it was %q", *e.Concept, strings.Join(concepts, ", "))
	}
	if e.Language != "" {
		judge(Answered, slices.Contains(languages, e.Language), "language %q was to be spoken, and it was %q", e.Language, strings.Join(languages, ", "))
	}
	if e.Equals != "" {
		judge(Answered, reply == e.Equals, "the reply was to be %q", e.Equals)
	}
	for _, t := range e.Contains {
		judge(Answered, holds(reply, t), "the reply lacks %q", t)
	}
	for _, t := range e.Lacks {
		judge(Answered, !holds(reply, t), "the reply holds %q", t)
	}
	if e.Matches != nil {
		judge(Answered, e.Matches.MatchString(reply), "the reply does not match %s", e.Matches)
	}
	if len(e.Fact) > 0 {
		judge(CorrectFact, slices.ContainsFunc(e.Fact, func(t string) bool { return holds(reply, t) }), "the reply lacks what is right, %q", strings.Join(e.Fact, `" or "`))
	}
	for _, t := range e.Wrong {
		judge(CorrectFact, !holds(reply, t), "the reply holds what is wrong, %q", t)
	}
	return out
}

// spoken lists the concepts of a reply and the languages of their templates.
func spoken(trace *gatewayv1.Trace) (concepts, languages []string) {
	for _, s := range trace.GetSegments() {
		if s.Span != nil {
			concepts, languages = append(concepts, s.Span.Concept), append(languages, s.Span.LanguageCode)
		}
	}
	return concepts, languages
}

func holds(reply, part string) bool { return strings.Contains(text.FoldKey(reply), text.FoldKey(part)) }

// said is one turn that is over.
type said struct{ asked, reply string }

// always judges what is expected of every reply, given the turns before it.
func always(now said, before []said, trace *gatewayv1.Trace, source *Source) []verdict {
	out := []verdict{{NoRepetition, repeats(now, before)}, {EndsWell, endsBadly(now.reply)}, {WellWritten, writtenBadly(now.reply)}}
	if source != nil {
		out = append(out, verdict{NoCopy, source.copied(trace)})
	}
	return out
}

// repeats finds a reply said before to another question, a sentence said twice, or words said twice in a row.
func repeats(now said, before []said) string {
	for _, b := range before {
		if b.reply == now.reply && !slices.Equal(text.FoldedWords(b.asked), text.FoldedWords(now.asked)) {
			return fmt.Sprintf("said before, to %q", b.asked)
		}
	}
	sentences := map[string]bool{}
	for _, s := range text.SentenceTexts(now.reply) {
		if sentences[s] {
			return fmt.Sprintf("says %q twice", s)
		}
		sentences[s] = true
	}
	words := text.FoldedWords(now.reply)
	for n := 2; n <= 8; n++ {
		for i := 0; i+2*n <= len(words); i++ {
			if slices.Equal(words[i:i+n], words[i+n:i+2*n]) {
				return fmt.Sprintf("says %q twice in a row", strings.Join(words[i:i+n], " "))
			}
		}
	}
	return ""
}

// endsBadly finds a reply that is empty or breaks off.
func endsBadly(reply string) string {
	trimmed := strings.TrimRight(strings.TrimSpace(reply), "\"'”’»)“]")
	switch {
	case strings.TrimSpace(reply) == "":
		return "empty"
	case trimmed == "" || !strings.ContainsAny(trimmed[len(trimmed)-1:], ".!?:") && !strings.HasSuffix(trimmed, "…") && !strings.HasSuffix(trimmed, "。"):
		return "breaks off"
	}
	return ""
}

// closers follow a mark, and no blank stands before them.
const closers = ".,;:!?"

// writtenBadly finds what no writer leaves: a small letter at the beginning, blanks before marks, doubled marks, quotes and brackets
// that stay open.
func writtenBadly(reply string) string {
	runes := []rune(strings.TrimSpace(reply))
	for i, r := range runes {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			if unicode.IsLower(r) {
				return "begins with a small letter"
			}
			break
		}
		if i > 8 {
			break
		}
	}
	for i := 1; i < len(runes); i++ {
		switch {
		case strings.ContainsRune(".,;", runes[i]) && runes[i-1] == ' ' && !(i+1 < len(runes) && runes[i+1] == '.'):
			return "has a blank before " + string(runes[i])
		case strings.ContainsRune(",;:", runes[i]) && strings.ContainsRune(closers, runes[i-1]) && runes[i-1] != '.':
			return "has " + string(runes[i-1:i+1])
		case runes[i] == ' ' && runes[i-1] == ' ':
			return "has two blanks"
		}
	}
	for _, pair := range []string{"()", "“”", "„“", "«»", "[]"} {
		p := []rune(pair)
		if pair == "„“" || pair == "“”" && strings.ContainsRune(reply, '„') {
			continue
		}
		if strings.Count(reply, string(p[0])) != strings.Count(reply, string(p[1])) {
			return "leaves " + pair + " open"
		}
	}
	return ""
}

// Source is the text that a model was trained on, in which copies are looked for.
type Source struct {
	words string // folded, one blank between two words and at both ends
	limit int
}

// NewSource looks for more than limit words in a row that stand in one of the texts.
func NewSource(texts []string, limit int) *Source {
	var b strings.Builder
	for _, t := range texts {
		b.WriteString(" \n ")
		b.WriteString(strings.Join(text.FoldedWords(t), " "))
	}
	b.WriteString(" ")
	return &Source{b.String(), limit}
}

// copied finds words of level 1 that stand in the source in a row longer than the limit.
func (s *Source) copied(trace *gatewayv1.Trace) string {
	for _, segment := range trace.GetSegments() {
		words := text.FoldedWords(segment.Text)
		for i := 0; segment.Span == nil && i+s.limit < len(words); i++ {
			if row := strings.Join(words[i:i+s.limit+1], " "); strings.Contains(s.words, " "+row+" ") {
				return fmt.Sprintf("copies %d words: %q", s.limit+1, row)
			}
		}
	}
	return ""
}

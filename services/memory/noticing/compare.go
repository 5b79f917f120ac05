package noticing

import (
	"regexp"
	"slices"
	"strings"

	"dbslm/services/memory/folding"
)

// contrast takes the values out of "It was built in 1911, not in 1901": in a clause and what it denies. What leads to the right
// one are light words and those of the reply, and it begins with what makes it a value; a preposition before the wrong one stands
// before the right one too. Empty when the clause is of something else, such as the speaker.
func (l language) contrast(clause, denied, reply string) (right, wrong string) {
	said := folding.Words(folding.Text(reply))
	words, others := strings.Fields(clause), strings.Fields(denied)
	begin := 0
	if len(words) > 2 && l.person(words[0]) && slices.ContainsFunc(said, l.person) && slices.Contains(said, strings.ToLower(words[1])) {
		words = words[1:] // "I drink tea" of "You drink coffee"
	}
	for begin < len(words)-1 && l.leads(words[begin], said) {
		begin++
	}
	if l.light[strings.ToLower(others[0])] && len(others) > 1 {
		for i := len(words) - 2; i >= begin-1 && i >= 0; i-- {
			if strings.EqualFold(words[i], others[0]) && i-begin <= 1 {
				begin, others = i+1, others[1:]
				break
			}
		}
	}
	if slices.ContainsFunc(words[:begin], l.speaks) {
		return "", ""
	}
	right = strings.Join(words[begin:], " ")
	if slices.ContainsFunc(words[begin:], l.speaks) {
		return "", ""
	}
	if named(right) && !named(words[begin]) && !l.light[strings.ToLower(words[begin])] {
		return "", ""
	}
	return right, strings.Join(others, " ")
}

// speaks reports whether a word is of the speaker rather than of what was asked: one with which no value begins, as "I".
func (l language) speaks(word string) bool {
	word = strings.ToLower(trim(word))
	return l.deny[word] && !l.light[word]
}

// leads reports whether a word of a clause leads to its value: a light one, or one of the reply.
func (l language) leads(word string, said []string) bool {
	return l.light[strings.ToLower(word)] || slices.ContainsFunc(folding.Words(folding.Text(word)), func(w string) bool { return slices.Contains(said, w) })
}

// restated takes the value out of a clause that says the reply's sentence again with another end, or beginning, of the same kind;
// empty when it does not. A light word may stand for the beginning: "she was born in Linz" says "Mia Holm was born in Graz" again.
func (l language) restated(clause string, before Exchange) string {
	words, said := l.sentence(clause), strings.Fields(strings.TrimRight(strings.TrimSpace(before.Reply), ".! "))
	if len(words) < 2 || len(said) < 2 {
		return ""
	}
	if end, was := l.otherEnd(words, said); end != "" {
		if givenBy(before.Question, was) {
			return ""
		}
		return end
	}
	if turned := l.turned(words, said); turned != "" {
		return turned
	}
	begin, from, content := len(words), len(said), false
	for begin > 0 && from > 0 && alike(words[begin-1], said[from-1]) {
		begin, from = begin-1, from-1
		content = content || !l.light[strings.ToLower(trim(words[begin]))]
	}
	right, was := strings.Join(words[:begin], " "), strings.Join(said[:from], " ")
	if !content || begin == 0 || begin > maxRestated || l.light[strings.ToLower(words[0])] && (begin < 2 || !alike(words[0], said[0])) || !named(right) || !named(was) || slices.ContainsFunc(words[:begin], l.speaks) || slices.ContainsFunc(said[:from], l.isVerb) {
		return ""
	}
	if word := words[begin]; numbered.MatchString(right) && !l.light[strings.ToLower(word)] && !l.isVerb(word) { // "14 guests"
		right += " " + word
	}
	return right
}

// givenBy reports whether a question that asks for a value holds all words of another one: what it is about, which no answer tells.
func givenBy(question, value string) bool {
	asked, words := folding.Words(folding.Text(question)), folding.Words(folding.Text(value))
	return !slices.ContainsFunc(words, func(word string) bool { return !slices.Contains(asked, word) })
}

// sentence splits a clause into words, without particles.
func (l language) sentence(clause string) []string {
	return slices.DeleteFunc(strings.Fields(clause), func(word string) bool { return l.particles[strings.ToLower(trim(word))] })
}

// person reports whether a word changes with who speaks.
func (l language) person(word string) bool { return l.persons[strings.ToLower(trim(word))] }

// same reports whether two words say the same of what two people say in turn.
func (l language) same(a, b string) bool { return alike(a, b) || l.person(a) && l.person(b) }

// turned takes the value out of "the mayor is Paul Weiss", which says "Paula Weiss is the mayor" the other way round.
func (l language) turned(words, said []string) string {
	i, j := slices.IndexFunc(words, l.isVerb), slices.IndexFunc(said, l.isVerb)
	if i < 1 || j < 1 || i+1 >= len(words) || j+1 >= len(said) || !alike(words[i], said[j]) || !slices.EqualFunc(words[:i], said[j+1:], l.same) {
		return ""
	}
	right := strings.Join(words[i+1:], " ")
	if len(words)-i-1 > maxRestated || !named(right) || !named(strings.Join(said[:j], " ")) {
		return ""
	}
	return right
}

// saidAgain takes the value out of a sentence that nothing calls a correction but that it is the reply's, word for word, with other
// names or numbers at its end. Empty when it is another sentence.
func (l language) saidAgain(clause string, before Exchange) string {
	words, said := l.sentence(clause), strings.Fields(strings.TrimRight(strings.TrimSpace(before.Reply), ".! "))
	if len(words) < 3 || len(said) < 3 {
		return ""
	}
	right, was := l.otherEnd(words, said)
	a, b := strings.Fields(right), strings.Fields(was)
	if right == "" || givenBy(before.Question, was) || !slices.EqualFunc(a, b, func(x, y string) bool { return alike(x, y) || named(x) && named(y) }) {
		return ""
	}
	return right
}

// isVerb reports whether a word is one of the verbs, or ends in one ("I'll").
func (l language) isVerb(word string) bool {
	word = strings.ToLower(trim(word))
	return l.verbs[word] || contracted.MatchString(word)
}

var contracted = regexp.MustCompile(`^(?:i|you|he|she|it|we|they|that|there|who)'(?:ll|ve|re|m|d|s)$`)

// withoutRemark cuts a value where a remark follows it: "4 May, I checked". What is of it begins like a value: "Linz, Austria".
func (l language) withoutRemark(value string) string {
	if before, after, ok := strings.Cut(value, ", "); ok {
		if first, _, _ := strings.Cut(after, " "); !named(first) && !slices.ContainsFunc(strings.Fields(after), l.isVerb) {
			return before
		}
	}
	return value
}

// alike reports whether two words are the same but for case and marks.
func alike(a, b string) bool { return folding.Text(trim(a)) == folding.Text(trim(b)) }

// otherEnd returns the end in which a sentence differs from what was said, and the end of that.
func (l language) otherEnd(words, said []string) (right, was string) {
	from, at := 0, 0 // both go on alike from said[from] and words[at]
	switch {
	case l.same(words[0], said[0]):
	case l.light[strings.ToLower(words[0])]:
		at = 1
		from = slices.IndexFunc(said, func(word string) bool { return alike(word, words[1]) })
	default: // where subjects may be left out
		from = slices.IndexFunc(said, func(word string) bool { return alike(word, words[0]) })
	}
	if from < 0 || from == 0 && at == 1 {
		return "", ""
	}
	content, common := false, at
	for at < len(words) && from < len(said) && l.same(words[at], said[from]) {
		content = content || !l.light[strings.ToLower(trim(words[at]))]
		at, from, common = at+1, from+1, common+1
	}
	if from > at && at == common && common < 2 { // one word says no sentence again
		return "", ""
	}
	for i := at; !content && len(words)-at == len(said)-from && i < len(words); i++ { // "it has 16 floors"
		content = alike(words[i], said[from+i-at]) && !l.light[strings.ToLower(trim(words[i]))]
	}
	right, was = strings.Join(words[at:], " "), strings.Join(said[from:], " ")
	for named(right) && named(was) && common > 1 && named(words[at-1]) { // "555 0142" and "555 0199" have a part in common
		at, from, common = at-1, from-1, common-1
		right, was = words[at]+" "+right, said[from]+" "+was
	}
	if common > 0 && numbered.MatchString(right) && numbered.MatchString(was) && !l.light[strings.ToLower(words[at-1])] && !l.isVerb(words[at-1]) { // "level 3"
		right, was = words[at-1]+" "+right, said[from-1]+" "+was
	}
	switch {
	case !content || right == "" || was == "" || len(words)-at > maxRestated || slices.ContainsFunc(words[at:], l.speaks) || slices.ContainsFunc(words[at:], l.isVerb):
		return "", ""
	case named(right) && named(was):
		return right, was
	case named(right) || named(was) || common < 2 || len(words)-at != len(said)-from:
		return "", ""
	}
	return right, was
}

// numbered is a value that needs the word before it.
var numbered = regexp.MustCompile(`^\p{N}+[.!]*$`)

// maxRestated bounds the words of a value that differs in a sentence said again.
const maxRestated = 4

var negation = regexp.MustCompile(`(?i)\b(?:not|n't|no|não|nao|sino|wrong)\b|n't`)

// firm are words that call a reply wrong; a bare "no" may say anything.
var firm = regexp.MustCompile(`(?i)\b(?:wrong|incorrect|mistaken|not (?:quite |really )?(?:right|true|correct)|correction|(?:right|correct|real|actual) (?:answer|one|name|value|word)|the answer|falsch|stimmt|quatsch|korrektur|richtige?|incorrecto|falso|cierto|verdad|equivoca|corrección|faux|inexact|incorrect|vrai|erreur|réponse|errado|incorreto|verdade|certo|resposta)\b`)

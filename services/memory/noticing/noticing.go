// Package noticing recognises a message that corrects the previous reply in the person's own words: "No, it's Paris", "I meant
// the old harbour", "that's wrong, it should be 1910". It goes by rules kept as data, one file per language, and by nothing
// else: equal messages are read equally. It is made to be right rather than to find everything; whoever is not understood can
// say ":correct wrong => right".
//
// A rule file has lines of a kind, a name and a pattern set apart by tabs:
//
//	define    a piece of a pattern, used in later ones as {name}
//	rule      how a correction is said; groups right and wrong, entity and attribute, or clause, a sentence of which only what
//	          differs from the reply is right. A third field "weak" marks rules that also fit other answers: they are passed
//	          over after a reply that asked something; "not" marks those that need a word of negation; "again" those without any,
//	          whose clause must be the reply's sentence with other names or numbers at its end, word for word
//	question  how a question names entity and attribute
//	asks      words that ask for a value; after a question without any ("Is it open?") weak rules take only names and numbers
//	deny      words with which no corrected value begins or ends
//	verbs     words that no value holds
//	persons   words that change with who speaks: "I parked" says "You parked" again
//	particles words that a sentence said again may have besides
//	light     words that lead to a value and are no part of it, in a clause: "it", "was", "in"
//
// Patterns are RE2 (linear time), apply to a whole message in which white space and quotes are plain, and disregard case. The point
// after an abbreviated title ("Mr.") is "․" in it.
//
// Whatever the rule, what is called wrong must have been said in the exchange, unless both are names or numbers, and what is called
// right must not.
package noticing

import (
	"embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"dbslm/services/memory/folding"
)

// Limits, in bytes: a longer message tells more than a correction, a longer value is none.
const (
	maxMessage = 400
	maxValue   = 120
	maxWords   = 12
)

// Noticed is what a message corrects.
type Noticed struct {
	Rule      string // "en/its"
	Right     string // what is right
	Wrong     string // what was wrong, when it is said
	Entity    string // what it is about, from the message or the question before; both or none
	Attribute string
}

//go:embed rules/*.txt
var files embed.FS

type rule struct {
	name      string
	pattern   *regexp.Regexp
	weak, not bool
	again     bool
}

type language struct {
	rules, questions []rule
	asks, deny       map[string]bool
	light, verbs     map[string]bool
	persons          map[string]bool
	particles        map[string]bool
}

// languages are read once; a faulty file is a fault of the program, which a test finds.
var languages = sync.OnceValues(func() (list []language, err error) {
	for _, code := range []string{"en", "de", "es", "fr", "pt"} {
		data, err := files.ReadFile("rules/" + code + ".txt")
		if err != nil {
			return nil, err
		}
		l, err := read(code, string(data))
		if err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	return list, nil
})

func read(code, data string) (language, error) {
	l := language{asks: map[string]bool{}, deny: map[string]bool{}, light: map[string]bool{}, verbs: map[string]bool{}, persons: map[string]bool{}, particles: map[string]bool{}}
	lists := map[string]map[string]bool{"persons": l.persons, "particles": l.particles, "deny": l.deny, "asks": l.asks, "light": l.light, "verbs": l.verbs}
	defined := []string{}
	for number, line := range strings.Split(data, "\n") {
		fields := strings.Split(line, "\t")
		switch {
		case line == "" || line[0] == '#':
			continue
		case lists[fields[0]] != nil:
			for word := range strings.FieldsSeq(fields[1]) {
				lists[fields[0]][word] = true
			}
			continue
		case len(fields) < 3:
			return l, fmt.Errorf("rules/%s.txt:%d: a kind, a name and a pattern are wanted", code, number+1)
		}
		pattern := strings.NewReplacer(defined...).Replace(fields[2])
		if fields[0] == "define" {
			defined = append(defined, "{"+fields[1]+"}", pattern)
			continue
		}
		compiled, err := regexp.Compile(`(?i)^(?:` + pattern + `)$`)
		if err != nil {
			return l, fmt.Errorf("rules/%s.txt:%d: %w", code, number+1, err)
		}
		r := rule{name: code + "/" + fields[1], pattern: compiled}
		if len(fields) > 3 {
			r.weak, r.not, r.again = fields[3] == "weak", fields[3] == "not", fields[3] == "again"
		}
		if fields[0] == "rule" {
			l.rules = append(l.rules, r)
		} else {
			l.questions = append(l.questions, r)
		}
	}
	return l, nil
}

// Exchange is what was said before a message.
type Exchange struct {
	Question string // of the person; may be empty
	Reply    string // to it
}

// Notice returns what a message corrects in the exchange before it. No reply, nothing to correct.
func Notice(message string, before Exchange) (Noticed, bool) {
	said := titles.ReplaceAllString(plain(message), "$1․ ")
	if strings.TrimSpace(before.Reply) == "" || len(said) > maxMessage || strings.HasSuffix(said, "?") {
		return Noticed{}, false
	}
	list, err := languages()
	if err != nil {
		return Noticed{}, false
	}
	asked := strings.HasSuffix(plain(before.Reply), "?")
	polar := yesOrNo(before.Question, list)
	entity, attribute := Question(before.Question)
	for _, l := range spoken(said, before, list) {
		for _, r := range l.rules {
			if n, ok := l.apply(r, said, before, asked, polar, entity != ""); ok {
				if n.Entity == "" {
					n.Entity, n.Attribute = entity, attribute
				}
				return n, true
			}
		}
	}
	return Noticed{}, false
}

// spoken returns the languages of which a message has the most light words, verbs and asking words; of those the exchange decides
// in the same way. Several are left where nothing tells them apart.
func spoken(said string, before Exchange, list []language) (languages []language) {
	most := 0
	for _, l := range list {
		n := 1000*l.known(said) + l.known(before.Question+" "+before.Reply)
		if n > most {
			most, languages = n, nil
		}
		if n == most {
			languages = append(languages, l)
		}
	}
	return languages
}

// known counts the small words of a text that are of the language.
func (l language) known(text string) (n int) {
	for word := range strings.FieldsSeq(strings.ToLower(text)) {
		if word = trim(word); l.light[word] || l.verbs[word] || l.asks[word] {
			n++
		}
	}
	return n
}

// yesOrNo reports whether a question asks for no value in any of the languages.
func yesOrNo(question string, list []language) bool {
	said := strings.ToLower(plain(question))
	if !strings.HasSuffix(said, "?") {
		return false
	}
	for word := range strings.FieldsSeq(said) {
		for _, l := range list {
			if l.asks[strings.Trim(word, "¿?,.;:!")] {
				return false
			}
		}
	}
	return true
}

// Corrects reports whether a message is a correction whatever was said before.
func Corrects(message string) bool {
	_, ok := Notice(message, Exchange{Reply: "."})
	return ok
}

func (l language) apply(r rule, said string, before Exchange, asked, polar, known bool) (Noticed, bool) {
	match := r.pattern.FindStringSubmatch(said)
	if match == nil || r.weak && asked || r.not && !negation.MatchString(said) {
		return Noticed{}, false
	}
	n := Noticed{Rule: r.name}
	clause := ""
	for i, group := range r.pattern.SubexpNames() {
		value := trim(strings.ReplaceAll(match[i], "․", "."))
		switch group {
		case "right":
			n.Right = value
		case "wrong":
			n.Wrong = value
		case "clause":
			clause = value
		case "entity":
			n.Entity = withoutArticle(value)
		case "attribute":
			n.Attribute = value
		}
	}
	switch {
	case clause != "" && n.Wrong != "":
		n.Right, n.Wrong = l.contrast(clause, n.Wrong, before.Reply)
	case clause != "" && asked: // an offer, not an answer
	case r.again && polar:
	case r.again:
		n.Right = l.saidAgain(clause, before)
	case clause != "":
		n.Right = l.restated(clause, before)
	}
	n.Right = l.withoutRemark(n.Right)
	right, wrong := folding.Words(folding.Text(n.Right)), folding.Words(folding.Text(n.Wrong))
	reply := " " + strings.Join(folding.Words(folding.Text(before.Reply)), " ") + " "
	switch {
	case len(right) == 0 || len(n.Right) > maxValue || len(strings.Fields(n.Right)) > maxWords || slices.Equal(right, wrong):
		return Noticed{}, false
	case l.denies(n.Right), n.Wrong != "" && l.denies(n.Wrong), slices.ContainsFunc(right, func(word string) bool { return l.asks[word] }), slices.ContainsFunc(strings.Fields(n.Right), l.isVerb):
		return Noticed{}, false
	case strings.Contains(reply, " "+strings.Join(right, " ")+" "): // the reply said so itself
		return Noticed{}, false
	case len(wrong) > 0 && !l.mentioned(wrong, before) && !(clause == "" && named(n.Right) && named(n.Wrong)): // nobody said that
		return Noticed{}, false
	case r.weak && clause == "" && !named(n.Right) && (polar || !firm.MatchString(said) && !(definite.MatchString(n.Right) && !answeredByName(before.Reply)) && !(known && len(right) <= 3 && !answeredByName(before.Reply))): // "No, it's my turn"
		return Noticed{}, false
	}
	return n, true
}

// denies reports whether a value begins or ends with a word that no value does.
func (l language) denies(value string) bool {
	words := strings.Fields(strings.ToLower(value))
	return l.deny[strings.Trim(words[0], "'\",;")] || l.deny[strings.Trim(words[len(words)-1], "'\",;")]
}

// mentioned reports whether a word of what is called wrong was said: in the reply and not in the question, whose words are what it
// is about, or only in the question ("Is it Rome?" – "Yes.").
func (l language) mentioned(words []string, before Exchange) bool {
	question, reply := folding.Words(folding.Text(before.Question)), folding.Words(folding.Text(before.Reply))
	return slices.ContainsFunc(words, func(word string) bool {
		return !l.light[word] && slices.Contains(question, word) != slices.Contains(reply, word)
	})
}

// named reports whether a value looks like what a question asks for, a name or a number.
func named(value string) bool {
	for word := range strings.FieldsSeq(strings.ReplaceAll(value, "-", " ")) {
		if strings.ContainsFunc(word, unicode.IsDigit) || numbers.MatchString(word) {
			return true
		}
		if r, _ := utf8.DecodeRuneInString(word); unicode.IsUpper(r) && word != "I" && !strings.HasPrefix(word, "I'") {
			return true
		}
	}
	return false
}

// answeredByName reports whether a reply, its first word aside, holds a name or a number: what corrects it then is one too.
func answeredByName(reply string) bool {
	first, rest, _ := strings.Cut(plain(reply), " ")
	return named(rest) || rest == "" && named(first)
}

var (
	numbers  = regexp.MustCompile(`(?i)^(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|\w+ty|hundred|thousand|million|zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|elf|zwölf|\w+zehn|\w+zig|hundert|tausend|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|once|doce|trece|catorce|quince|veinte|treinta|cien|mil|deux|trois|quatre|cinq|sept|huit|neuf|dix|onze|douze|treize|quatorze|quinze|seize|vingt|trente|cent|mille|dois|duas|três|quatro|sete|oito|nove|dez|doze|vinte|trinta|cem)$`)
	definite = regexp.MustCompile(`(?i)^(?:(?:at|in|on|by|near|from|under|behind|beside) )?(?:l'|(?:the|der|die|das|den|dem|el|la|los|las|le|les|o|a|os|as) )\S+(?: \S+){0,2}$`)
)

// Question returns what a question asks for, or two empty texts if it is none that the rules know.
func Question(question string) (entity, attribute string) {
	said := strings.TrimRight(plain(question), "?!. ")
	list, err := languages()
	if err != nil || len(said) > maxMessage {
		return "", ""
	}
	for _, l := range list {
		for _, r := range l.questions {
			match := r.pattern.FindStringSubmatch(said)
			if match == nil {
				continue
			}
			for i, group := range r.pattern.SubexpNames() {
				switch group {
				case "entity":
					entity = withoutArticle(trim(match[i]))
				case "attribute":
					attribute = trim(match[i])
				}
			}
			if folding.Text(entity) != "" && folding.Text(attribute) != "" {
				return entity, attribute
			}
		}
	}
	return "", ""
}

var articles = regexp.MustCompile(`(?i)^(?:the|a|an|der|die|das|el|la|los|las|le|les|o|os|as) `)

func withoutArticle(s string) string { return articles.ReplaceAllString(s, "") }

// plain is a message with plain quotes and single spaces.
func plain(s string) string {
	return strings.Join(strings.Fields(quotes.Replace(s)), " ")
}

// titles are abbreviations before names, whose point ends no sentence.
var titles = regexp.MustCompile(`\b(Mr|Mrs|Ms|Dr|St|Prof|M|Mme|Hr|Fr|Sr|Sra|Dra)\. `)

var quotes = strings.NewReplacer("’", "'", "‘", "'", "ʼ", "'", "“", `"`, "”", `"`, "„", `"`)

func trim(s string) string { return strings.Trim(s, " ,.;:!\"'") }

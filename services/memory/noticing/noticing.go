// Package noticing recognises a message that corrects the previous reply in the person's own words: "No, it's Paris", "I meant
// the old harbour", "that's wrong, it should be 1910". It goes by rules kept as data, one file per language, and by nothing
// else: equal messages are read equally. It is made to be right rather than to find everything; whoever is not understood can
// say ":correct wrong => right".
//
// A rule file has lines of a kind, a name and a pattern set apart by tabs:
//
//	define    a piece of a pattern, used in later ones as {name}
//	rule      how a correction is said; groups right and wrong, entity and attribute. A third field "weak" marks rules that
//	          also fit other answers: they are passed over after a reply that asked something, and for values of the deny
//	          list; "not" marks those that need a word of negation
//	question  how a question names entity and attribute
//	asks      words that ask for a value; after a question without any ("Is it open?") weak rules take only names and numbers
//	deny      words with which no corrected value begins
//
// Patterns are RE2 (linear time), apply to a whole message in which white space and quotes are plain, and disregard case.
package noticing

import (
	"embed"
	"fmt"
	"regexp"
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
}

type language struct {
	rules, questions []rule
	asks, deny       map[string]bool
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
	l := language{asks: map[string]bool{}, deny: map[string]bool{}}
	defined := []string{}
	for number, line := range strings.Split(data, "\n") {
		fields := strings.Split(line, "\t")
		switch {
		case line == "" || line[0] == '#':
			continue
		case fields[0] == "deny" || fields[0] == "asks":
			for word := range strings.FieldsSeq(fields[1]) {
				map[string]map[string]bool{"deny": l.deny, "asks": l.asks}[fields[0]][word] = true
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
			r.weak, r.not = fields[3] == "weak", fields[3] == "not"
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
	said := plain(message)
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
	for _, l := range list {
		for _, r := range l.rules {
			if n, ok := l.apply(r, said, before.Reply, asked, polar, entity != ""); ok {
				if n.Entity == "" {
					n.Entity, n.Attribute = entity, attribute
				}
				return n, true
			}
		}
	}
	return Noticed{}, false
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

func (l language) apply(r rule, said, reply string, asked, polar, known bool) (Noticed, bool) {
	match := r.pattern.FindStringSubmatch(said)
	if match == nil || r.weak && asked || r.not && !negation.MatchString(said) {
		return Noticed{}, false
	}
	n := Noticed{Rule: r.name}
	for i, group := range r.pattern.SubexpNames() {
		value := trim(match[i])
		switch group {
		case "right":
			n.Right = value
		case "wrong":
			n.Wrong = value
		case "entity":
			n.Entity = withoutArticle(value)
		case "attribute":
			n.Attribute = value
		}
	}
	first := func(value string) string {
		word, _, _ := strings.Cut(strings.ToLower(value), " ")
		return strings.Trim(word, "'\",;")
	}
	right, wrong := folding.Text(n.Right), folding.Text(n.Wrong)
	switch {
	case right == "" || len(n.Right) > maxValue || len(strings.Fields(n.Right)) > maxWords || right == wrong:
		return Noticed{}, false
	case l.deny[first(n.Right)], l.deny[first(n.Wrong)]:
		return Noticed{}, false
	case r.weak && !named(n.Right) && (polar || !firm.MatchString(said) && !definite.MatchString(n.Right) && !(known && len(strings.Fields(n.Right)) <= 3)): // "No, it's my turn"
		return Noticed{}, false
	case r.weak && folding.Contains(folding.Text(reply), right): // the reply said so itself
		return Noticed{}, false
	}
	return n, true
}

var negation = regexp.MustCompile(`(?i)\b(?:not|n't|no|não|nao|sino|wrong)\b|n't`)

// firm are words that call a reply wrong; a bare "no" may say anything.
var firm = regexp.MustCompile(`(?i)\b(?:wrong|incorrect|mistaken|not (?:quite |really )?(?:right|true|correct)|correction|(?:right|correct|real|actual) (?:answer|one|name|value|word)|the answer|falsch|stimmt|quatsch|korrektur|richtige?|incorrecto|falso|cierto|verdad|equivoca|corrección|faux|inexact|incorrect|vrai|erreur|réponse|errado|incorreto|verdade|certo|resposta)\b`)

// named reports whether a value looks like what a question asks for, a name or a number.
func named(value string) bool {
	for word := range strings.FieldsSeq(value) {
		if strings.ContainsFunc(word, unicode.IsDigit) || numbers.MatchString(word) {
			return true
		}
		if r, _ := utf8.DecodeRuneInString(word); unicode.IsUpper(r) && word != "I" && !strings.HasPrefix(word, "I'") {
			return true
		}
	}
	return false
}

var (
	numbers  = regexp.MustCompile(`(?i)^(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|\w+ty|hundred|thousand|million|zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|elf|zwölf|\w+zehn|\w+zig|hundert|tausend|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|cien|mil|deux|trois|quatre|cinq|sept|huit|neuf|dix|cent|mille|dois|duas|três|quatro|sete|oito|nove|dez|cem)$`)
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

var quotes = strings.NewReplacer("’", "'", "‘", "'", "ʼ", "'", "“", `"`, "”", `"`, "„", `"`)

func trim(s string) string { return strings.Trim(s, " ,.;:!\"'") }

package template

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-playground/locales"
	"github.com/go-playground/locales/cs"
	"github.com/go-playground/locales/da"
	"github.com/go-playground/locales/de"
	"github.com/go-playground/locales/en"
	"github.com/go-playground/locales/en_GB"
	"github.com/go-playground/locales/es"
	"github.com/go-playground/locales/fi"
	"github.com/go-playground/locales/fr"
	"github.com/go-playground/locales/it"
	"github.com/go-playground/locales/nl"
	"github.com/go-playground/locales/pl"
	"github.com/go-playground/locales/pt"
	"github.com/go-playground/locales/pt_PT"
	"github.com/go-playground/locales/ru"
	"github.com/go-playground/locales/sv"
	"github.com/go-playground/locales/tr"
	"github.com/go-playground/locales/uk"
	"golang.org/x/text/cases"
	tags "golang.org/x/text/language"
)

// language is how values are written. The default language writes as English does.
type language struct {
	code    string
	tag     tags.Tag
	formats func() locales.Translator // made when first needed; nil where the language's numbers and dates are not known
	words   []string                  // for and, or; nil where they are not known
}

// languageOf finds what is known of a language: of "pt-BR", else of "pt".
func languageOf(code string) *language {
	l := &language{code: code, tag: tags.Make(code)}
	if code == "" {
		code = "en"
		l.tag = tags.English
	}
	for code = strings.ReplaceAll(code, "_", "-"); code != "" && l.formats == nil; code = parent(code) {
		if known := formats[strings.ToLower(code)]; known != nil {
			l.formats = sync.OnceValue(known)
			l.words = conjunctions[strings.SplitN(strings.ToLower(code), "-", 2)[0]]
		}
	}
	return l
}

func parent(code string) string {
	return code[:max(strings.LastIndexByte(code, '-'), 0)]
}

// formats are the languages whose numbers, plurals and dates can be written, after the Unicode CLDR.
var formats = map[string]func() locales.Translator{
	"cs": cs.New, "da": da.New, "de": de.New, "en": en.New, "en-gb": en_GB.New, "es": es.New, "fi": fi.New, "fr": fr.New, "it": it.New,
	"nl": nl.New, "pl": pl.New, "pt": pt.New, "pt-pt": pt_PT.New, "ru": ru.New, "sv": sv.New, "tr": tr.New, "uk": uk.New,
}

// conjunctions are the words between the last two items of a list (CLDR's list patterns hold the same ones).
var conjunctions = map[string][]string{
	"cs": {"a", "nebo"}, "da": {"og", "eller"}, "de": {"und", "oder"}, "en": {"and", "or"}, "es": {"y", "o"}, "fi": {"ja", "tai"},
	"fr": {"et", "ou"}, "it": {"e", "o"}, "nl": {"en", "of"}, "pl": {"i", "lub"}, "pt": {"e", "ou"}, "ru": {"и", "или"},
	"sv": {"och", "eller"}, "tr": {"ve", "veya"}, "uk": {"і", "або"},
}

// limits says, in an error about a filter, what is not known of the language.
func (l *language) limits(filter string) string {
	if l.formats == nil && slices.Contains([]string{"number", "percent", "plural", "ordinal", "date", "weekday", "time", "list"}, filter) {
		return "; how " + strconv.Quote(l.code) + " writes it is not known, only how cs, da, de, en, es, fi, fr, it, nl, pl, pt, ru, sv, tr and uk do"
	}
	if forms := []bool{false, true}; filter == "plural" || filter == "ordinal" {
		return "; " + l.formats().Locale() + " has: " + strings.Join(l.forms(forms[len(filter)-6]), ", ")
	}
	return ""
}

func (l *language) upper(s string) string { return cases.Upper(l.tag).String(s) }

func (l *language) lower(s string) string { return cases.Lower(l.tag).String(s) }

func (l *language) title(s string) string { return cases.Title(l.tag, cases.NoLower).String(s) }

// capital makes the first letter a capital and leaves the rest.
func (l *language) capital(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return l.upper(s[:n]) + s[n:]
}

func (l *language) number(n float64, digits uint64) string { return l.formats().FmtNumber(n, digits) }

// percent writes a share: 0.25 is 25 %.
func (l *language) percent(n float64, digits uint64) string {
	return l.formats().FmtPercent(n*100, digits)
}

// forms lists the plural forms of the language.
func (l *language) forms(ordinal bool) []string {
	rules := l.formats().PluralsCardinal()
	if ordinal {
		rules = l.formats().PluralsOrdinal()
	}
	out := make([]string, 0, len(rules)+1)
	for _, rule := range rules {
		out = append(out, strings.ToLower(rule.String()))
	}
	if !slices.Contains(out, "other") {
		out = append(out, "other")
	}
	return out
}

// plural says the form for a number: one for exactly this number, the language's, or "other". A # in it is the number.
func (l *language) plural(n float64, digits uint64, forms map[string]string, ordinal bool) string {
	rule := l.formats().CardinalPluralRule(n, digits)
	if ordinal {
		rule = l.formats().OrdinalPluralRule(n, digits)
	}
	form, ok := forms[strconv.FormatFloat(n, 'f', -1, 64)]
	if !ok {
		form, ok = forms[strings.ToLower(rule.String())]
	}
	if !ok {
		form = forms["other"]
	}
	return strings.ReplaceAll(form, "#", l.number(n, digits))
}

// list joins items as people do: a, b and c.
func (l *language) list(items []string, or bool) string {
	last := len(items) - 1
	if last == 0 {
		return items[0]
	}
	word := l.words[0]
	if or {
		word = l.words[1]
	}
	return strings.Join(items[:last], ", ") + " " + l.euphonic(word, items[last]) + " " + items[last]
}

// euphonic is the Spanish rule: e before an i, u before an o.
func (l *language) euphonic(word, next string) string {
	next = l.lower(next)
	switch {
	case word == "y" && l.words[1] == "o" && (strings.HasPrefix(next, "i") || strings.HasPrefix(next, "hi") && !strings.HasPrefix(next, "hie")):
		return "e"
	case word == "o" && l.words[0] == "y" && (strings.HasPrefix(next, "o") || strings.HasPrefix(next, "ho")):
		return "u"
	}
	return word
}

// times are the ways in which payloads write dates and times.
var times = []struct {
	layout      string
	day, oClock bool
}{
	{time.DateOnly, true, false},
	{time.RFC3339, true, true},
	{"2006-01-02T15:04:05", true, true},
	{"2006-01-02T15:04", true, true},
	{time.DateTime, true, true},
	{"2006-01-02 15:04", true, true},
	{"15:04", false, true},
	{time.TimeOnly, false, true},
}

// sayTime writes a date or a time as it was given, in its own zone.
func (l *language) sayTime(value any, what, style string) (string, bool) {
	said, ok := value.(string)
	if !ok {
		return "", false
	}
	for _, form := range times {
		t, err := time.Parse(form.layout, strings.TrimSpace(said))
		switch {
		case err != nil:
		case what == "time":
			return l.formats().FmtTimeShort(t), form.oClock
		case !form.day:
			return "", false
		case what == "weekday":
			return l.formats().WeekdayWide(t.Weekday()), true
		case style == "short":
			return l.formats().FmtDateShort(t), true
		case style == "medium":
			return l.formats().FmtDateMedium(t), true
		case style == "full":
			return l.formats().FmtDateFull(t), true
		default:
			return l.formats().FmtDateLong(t), true
		}
	}
	return "", false
}

package slots

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"dbslm/pkg/text"

	"github.com/go-playground/locales"
	"github.com/go-playground/locales/de"
	"github.com/go-playground/locales/en"
	"github.com/go-playground/locales/es"
	"github.com/go-playground/locales/fr"
	"github.com/go-playground/locales/it"
	"github.com/go-playground/locales/nl"
	"github.com/go-playground/locales/pt"
)

// Names of months and days are those of the Unicode CLDR in seven languages; all are read, whatever the language of the reply,
// because a person may write in another one.
var languages = []func() locales.Translator{en.New, de.New, es.New, fr.New, it.New, nl.New, pt.New}

// days are phrases for a day, by how far it is from today.
var days = map[string]int{
	"today": 0, "tonight": 0, "tomorrow": 1, "day after tomorrow": 2, "yesterday": -1, "day before yesterday": -2,
	"heute": 0, "morgen": 1, "ubermorgen": 2, "gestern": -1, "vorgestern": -2,
	"hoy": 0, "manana": 1, "pasado manana": 2, "ayer": -1, "anteayer": -2,
	"aujourd hui": 0, "demain": 1, "apres demain": 2, "hier": -1, "avant hier": -2,
	"oggi": 0, "domani": 1, "dopodomani": 2, "ieri": -1,
	"vandaag": 0, "overmorgen": 2, "gisteren": -1,
	"hoje": 0, "amanha": 1, "depois de amanha": 2, "ontem": -1, "anteontem": -2,
}

// onlyIn are phrases that other languages use in another sense: German says "ich bin hier", English "for over 3 days".
var onlyIn = map[string]string{"hier": "fr", "over": "nl"}

// noDays are phrases that hold one of days and mean something else.
var noDays = []string{
	"guten morgen", "am morgen", "jeden morgen", "goede morgen", "la manana", "buena manana", "every day", "todas las mananas",
}

// periods are the units of "in 3 days", as years, months and days.
var periods = func() map[string][3]int {
	units := map[string][3]int{}
	for names, unit := range map[string][3]int{
		"day days tag tage tagen dia dias jour jours giorno giorni dag dagen":               {0, 0, 1},
		"week weeks woche wochen semana semanas semaine semaines settimana settimane weken": {0, 0, 7},
		"month months monat monate monaten mes meses mois mese mesi maand maanden":          {0, 1, 0},
		"year years jahr jahre jahren ano anos an ans annee annees anno anni jaar jaren":    {1, 0, 0},
		"fortnight fortnights": {0, 0, 14},
	} {
		for _, name := range strings.Fields(names) {
			units[name] = unit
		}
	}
	return units
}()

// ahead are the phrases before the number of a period.
var ahead = []string{"in", "within", "dentro de", "en", "dans", "d ici", "tra", "fra", "over", "em", "daqui a"}

// ofMonth stand between a day and its month or a month and its year.
var ofMonth = map[string]bool{"of": true, "de": true, "del": true, "di": true, "the": true, "do": true}

// ordinals follow the number of a day.
var ordinals = map[string]bool{"st": true, "nd": true, "rd": true, "th": true, "er": true, "o": true, "a": true, "e": true, "te": true, "ste": true}

// calendar holds the names of months and days, folded.
type calendar struct {
	months   map[string]time.Month
	short    map[string]map[string]time.Month // abbreviations by language, which count beside a number only: "set" is one in Italian
	weekdays map[string]time.Weekday          // names of one or two words
}

var names = sync.OnceValue(func() calendar {
	c := calendar{map[string]time.Month{}, map[string]map[string]time.Month{}, map[string]time.Weekday{}}
	for _, language := range languages {
		l := language()
		for i, name := range l.MonthsWide() {
			c.months[text.FoldKey(name)] = time.Month(i + 1)
		}
		short := map[string]time.Month{}
		for i, name := range l.MonthsAbbreviated() {
			short[strings.Trim(text.FoldKey(name), ".")] = time.Month(i + 1)
		}
		c.short[l.Locale()] = short
		for i, name := range l.WeekdaysWide() {
			key, _ := keyOf(name)
			c.weekdays[key] = time.Weekday(i)
			if first, ok := strings.CutSuffix(key, " feira"); ok { // as people say it in Portuguese
				c.weekdays[first] = time.Weekday(i)
			}
		}
	}
	c.short["en"]["sept"] = time.September
	return c
})

var (
	isoDate     = regexp.MustCompile(`\b(\d{4})-(\d{1,2})-(\d{1,2})\b`)
	numericDate = regexp.MustCompile(`\b(\d{1,2})([./-])(\d{1,2})(?:([./-])(\d{4}|\d{2})\b|\.(?:\s|$)|\b)`)
)

// readDates lists the dates of a text. One without a year is the next such day from today on; a day of the week is the next one
// after today.
func readDates(said string, words []word, r Reading) (found []Found) {
	today := r.Now.UTC().Truncate(24 * time.Hour)
	add := func(date time.Time, from, to int) {
		for _, f := range found {
			if from < f.To && f.From < to {
				return
			}
		}
		if y := date.Year(); y >= 1 && y <= 9999 {
			found = append(found, span(date.Format(time.DateOnly), from, to))
		}
	}
	for _, m := range isoDate.FindAllStringSubmatchIndex(said, 16) {
		if date, ok := day(atoi(said[m[2]:m[3]]), atoi(said[m[4]:m[5]]), atoi(said[m[6]:m[7]])); ok {
			add(date, m[0], m[1])
		}
	}
	for _, m := range numericDate.FindAllStringSubmatchIndex(said, 16) {
		if date, ok := numeric(said, m, r.Language, today); ok && !fraction(said, m) {
			add(date, m[0], m[1])
		}
	}
	for i := range words {
		if date, n, ok := named(words[i:], r.Language, today); ok {
			add(date, words[i].from, words[i+n-1].to)
		}
	}
	for i := 0; i < len(words); i++ {
		if n, ok := not(words[i:]); ok {
			i += n - 1
			continue
		}
		if date, n, ok := relative(words, i, r.Language, today); ok {
			add(date, words[i].from, words[i+n-1].to)
		}
	}
	sortFound(found)
	return found
}

// numeric reads 12/3, 3.12. and 3-12-2026; the parts are found by numericDate.
func numeric(said string, m []int, language string, today time.Time) (time.Time, bool) {
	first, second := atoi(said[m[2]:m[3]]), atoi(said[m[6]:m[7]])
	mark := said[m[4]:m[5]]
	month, d := second, first
	if mark == "/" && monthFirst(language) {
		month, d = first, second
	}
	if month > 12 && d <= 12 {
		month, d = d, month
	}
	if m[8] >= 0 {
		if said[m[8]:m[9]] != mark {
			return time.Time{}, false
		}
		year := atoi(said[m[10]:m[11]])
		if m[11]-m[10] == 2 {
			year += today.Year() / 100 * 100
		}
		return day(year, month, d)
	}
	if mark == "-" || mark == "." && !strings.HasSuffix(strings.TrimSpace(said[m[0]:m[1]]), ".") { // 3-12 and 3.12 are no dates
		return time.Time{}, false
	}
	return coming(month, d, today)
}

// fraction reports whether what looks like a day and a month is a measure or "24/7".
func fraction(said string, m []int) bool {
	if m[8] >= 0 || said[m[4]:m[5]] != "/" {
		return false
	}
	next := wordsOf(text.Truncate(said[m[1]:], 32))
	return said[m[0]:m[1]] == "24/7" || len(next) > 0 && measures[next[0].key]
}

// measures are words behind a fraction.
var measures = map[string]bool{
	"inch": true, "inches": true, "in": true, "zoll": true, "cup": true, "cups": true, "of": true, "kg": true, "g": true, "l": true, "pound": true, "pounds": true,
	"liter": true, "litre": true, "mile": true, "miles": true, "hour": true, "hours": true, "stunde": true, "stunden": true, "pulgada": true, "pulgadas": true,
	"pouce": true, "pouces": true, "polegada": true, "polegadas": true, "pollice": true, "pollici": true, "day": true, "days": true,
}

// monthFirst reports whether 3/12 is the twelfth of March.
func monthFirst(language string) bool {
	language = strings.ToLower(strings.ReplaceAll(language, "_", "-"))
	return language == "" || language == "en" || language == "en-us"
}

// named reads "12 March", "March 12th, 2027" and "the 12th of March" from the first word on.
func named(words []word, language string, today time.Time) (date time.Time, n int, ok bool) {
	c := names()
	month := func(at int) (time.Month, bool) {
		if at >= len(words) {
			return 0, false
		}
		if m, ok := c.months[words[at].key]; ok {
			return m, true
		}
		m, ok := c.short[base(language)][words[at].key]
		return m, ok
	}
	number := func(at, low, high int) (int, bool) {
		if at >= len(words) || words[at].key[0] < '0' || words[at].key[0] > '9' || len(words[at].key) > 4 {
			return 0, false
		}
		v, err := strconv.Atoi(words[at].key)
		return v, err == nil && v >= low && v <= high
	}
	skip := func(at int, what map[string]bool) int {
		for at < len(words) && what[words[at].key] {
			at++
		}
		return at
	}
	var m time.Month
	var d int
	if d, ok = number(0, 1, 31); ok {
		n = skip(skip(1, ordinals), ofMonth)
		if m, ok = month(n); !ok {
			return date, 0, false
		}
		n++
	} else {
		if m, ok = month(0); !ok {
			return date, 0, false
		}
		n = skip(1, ofMonth)
		if d, ok = number(n, 1, 31); !ok {
			return date, 0, false
		}
		n = skip(n+1, ordinals)
	}
	if year, given := number(skip(n, ofMonth), 1000, 9999); given {
		n = skip(n, ofMonth) + 1
		date, ok = day(year, int(m), d)
		return date, n, ok
	}
	date, ok = coming(int(m), d, today)
	return date, n, ok
}

// relative reads "tomorrow", "Friday" and "in three days" from a word on.
func relative(words []word, i int, language string, today time.Time) (date time.Time, n int, ok bool) {
	for n = min(3, len(words)-i); n > 0; n-- {
		phrase := joined(words[i : i+n])
		if away, ok := days[phrase]; ok && meant(phrase, language) {
			return today.AddDate(0, 0, away), n, true
		}
	}
	for n = min(2, len(words)-i); n > 0; n-- {
		if weekday, ok := names().weekdays[joined(words[i:i+n])]; ok {
			away := (int(weekday)-int(today.Weekday())+6)%7 + 1
			return today.AddDate(0, 0, away), n, true
		}
	}
	for _, phrase := range ahead {
		if n, ok = begins(words[i:], phrase); !ok || i+n+2 > len(words) || !meant(phrase, language) {
			continue
		}
		count, counted := smallNumber(words[i+n].key)
		if unit, ok := periods[words[i+n+1].key]; ok && counted {
			return today.AddDate(count*unit[0], count*unit[1], count*unit[2]), n + 2, true
		}
	}
	return date, 0, false
}

// meant reports whether a phrase is used in the sense of the tables in a language.
func meant(phrase, language string) bool {
	only := onlyIn[phrase]
	return only == "" || only == base(language)
}

// base is a language without its region; "" is English.
func base(language string) string {
	language, _, _ = strings.Cut(strings.ToLower(strings.ReplaceAll(language, "_", "-")), "-")
	return cmp.Or(language, "en")
}

// not reports whether the words begin with a phrase that only looks like a day, and of how many words it is.
func not(words []word) (n int, ok bool) {
	for _, phrase := range noDays {
		if n, ok = begins(words, phrase); ok {
			return n, true
		}
	}
	return 0, false
}

// begins reports whether words begin with those of a phrase, and how many these are.
func begins(words []word, phrase string) (n int, ok bool) {
	for more := true; more; n++ {
		var first string
		first, phrase, more = strings.Cut(phrase, " ")
		if n >= len(words) || words[n].key != first {
			return 0, false
		}
	}
	return n, true
}

func joined(words []word) string {
	if len(words) == 1 {
		return words[0].key
	}
	keys := make([]string, len(words))
	for i, w := range words {
		keys[i] = w.key
	}
	return strings.Join(keys, " ")
}

// day is a date that the calendar has.
func day(year, month, d int) (time.Time, bool) {
	date := time.Date(year, time.Month(month), d, 0, 0, 0, 0, time.UTC)
	return date, month >= 1 && month <= 12 && d >= 1 && date.Day() == d
}

// coming is the next such day from today on.
func coming(month, d int, today time.Time) (time.Time, bool) {
	for year := today.Year(); year <= today.Year()+8; year++ { // a 29th of February may be eight years away
		if date, ok := day(year, month, d); ok && !date.Before(today) {
			return date, true
		}
	}
	return time.Time{}, false
}

// atoi reads digits that an expression found.
func atoi(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return -1
	}
	return n
}

package slots

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// numberWords are the small numbers as words.
var numberWords = func() map[string]int {
	numbers := map[string]int{"ein": 1, "eine": 1, "einem": 1, "einer": 1, "einen": 1, "una": 1, "une": 1, "uma": 1, "duas": 2}
	for _, language := range []string{
		"zero one two three four five six seven eight nine ten eleven twelve",
		"null eins zwei drei vier funf sechs sieben acht neun zehn elf zwolf",
		"cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce",
		"zero un deux trois quatre cinq six sept huit neuf dix onze douze",
		"zero uno due tre quattro cinque sei sette otto nove dieci undici dodici",
		"nul een twee drie vier vijf zes zeven acht negen tien elf twaalf",
		"zero um dois tres quatro cinco seis sete oito nove dez onze doze",
	} {
		for n, name := range strings.Fields(language) {
			numbers[name] = n
		}
	}
	delete(numbers, "once") // English too
	return numbers
}()

// articles are number words that mostly count nothing: alone they do, or before a period.
var articles = map[string]bool{
	"one": true, "un": true, "uno": true, "una": true, "une": true, "um": true, "uma": true, "een": true,
	"ein": true, "eine": true, "einem": true, "einer": true, "einen": true,
}

// smallNumber is the number of a word of digits or letters before a period.
func smallNumber(key string) (int, bool) {
	if n, ok := numberWords[key]; ok {
		return n, true
	}
	if key == "a" || key == "an" {
		return 1, true
	}
	n, err := strconv.Atoi(key)
	return n, err == nil && n <= 1000
}

var figure = regexp.MustCompile(`[-+]?\d+(?:[.,]\d+)*`)

// readNumbers lists the numbers of a text, in figures or, up to twelve, as words.
func readNumbers(said string, words []word, r Reading) (found []Found) {
	for _, m := range figure.FindAllStringIndex(said, 32) {
		if n, ok := plain(said[m[0]:m[1]], r.Language); ok {
			found = append(found, span(n, m[0], m[1]))
		}
	}
	for _, w := range words {
		if n, ok := numberWords[w.key]; ok && (!articles[w.key] || len(words) == 1) {
			found = append(found, span(json.Number(strconv.Itoa(n)), w.from, w.to))
		}
	}
	sortFound(found)
	return found
}

// readIntegers lists the numbers without a fraction.
func readIntegers(said string, words []word, r Reading) []Found {
	return slices.DeleteFunc(readNumbers(said, words, r), func(f Found) bool {
		return strings.Contains(string(f.Value.(json.Number)), ".")
	})
}

// plain writes a figure as JSON does: 1,200.50 of English and 1.200,50 of other languages are 1200.50.
func plain(written, language string) (json.Number, bool) {
	point, group := ",", "."
	if language = strings.ToLower(language); language == "" || language == "en" || strings.HasPrefix(language, "en-") || strings.HasPrefix(language, "en_") {
		point, group = ".", ","
	}
	whole, fraction, split := strings.Cut(written, point)
	if strings.ContainsAny(fraction, ".,") {
		return "", false
	}
	groups := strings.Split(whole, group)
	for _, g := range groups[1:] {
		if len(g) == 3 {
			continue
		}
		if split || len(groups) != 2 { // 1.5 is one and a half wherever it cannot be a group
			return "", false
		}
		whole, fraction, split = groups[0], g, true
		groups = []string{whole}
	}
	whole = strings.TrimPrefix(strings.Join(groups, ""), "+")
	sign := ""
	if rest, negative := strings.CutPrefix(whole, "-"); negative {
		sign, whole = "-", rest
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if split {
		whole += "." + fraction
	}
	return json.Number(sign + whole), json.Valid([]byte(sign + whole))
}

var (
	clockTime = regexp.MustCompile(`(?i)\b([01]?\d|2[0-4])[:h]([0-5]\d)(?::[0-5]\d)?(?:\s*(am|pm|a\.m\.|p\.m\.|uhr))?`)
	halfDay   = regexp.MustCompile(`(?i)\b(1[0-2]|0?\d)()\s*(am|pm|a\.m\.|p\.m\.)`)
	fullHour  = regexp.MustCompile(`(?i)\b([01]?\d|2[0-4])(?:[.:]([0-5]\d))?()\s*(?:uhr|h|heures?|horas?|uur|o['’]clock)\b`)
)

// middles are the times that have a name.
var middles = map[string]string{
	"noon": "12:00", "midday": "12:00", "mittag": "12:00", "mittags": "12:00", "midi": "12:00", "mediodia": "12:00", "meio dia": "12:00", "mezzogiorno": "12:00",
	"midnight": "00:00", "mitternacht": "00:00", "minuit": "00:00", "medianoche": "00:00", "meia noite": "00:00", "mezzanotte": "00:00",
}

// readTimes lists the times of day of a text.
func readTimes(said string, words []word, _ Reading) (found []Found) {
	for _, expression := range []*regexp.Regexp{clockTime, halfDay, fullHour} {
		for _, m := range expression.FindAllStringSubmatchIndex(said, 16) {
			hour, minute := atoi(said[m[2]:m[3]]), 0
			if m[4] >= 0 && m[5] > m[4] {
				minute = atoi(said[m[4]:m[5]])
			}
			half := ""
			if m[6] >= 0 && m[7] > m[6] {
				half = strings.ToLower(said[m[6]:m[7]][:1])
			}
			switch {
			case (half == "a" || half == "p") && (hour < 1 || hour > 12):
				continue
			case half == "p" && hour < 12:
				hour += 12
			case half == "a" && hour == 12:
				hour = 0
			}
			if hour == 24 && minute == 0 {
				hour = 0
			}
			overlaps := slices.ContainsFunc(found, func(f Found) bool { return m[0] < f.To && f.From < m[1] })
			if hour < 24 && !overlaps {
				found = append(found, span(fmt.Sprintf("%02d:%02d", hour, minute), m[0], m[1]))
			}
		}
	}
	for i := range words {
		for n := 1; n <= 2 && i+n <= len(words); n++ {
			if value, ok := middles[joined(words[i:i+n])]; ok {
				found = append(found, span(value, words[i].from, words[i+n-1].to))
			}
		}
	}
	sortFound(found)
	return found
}

var (
	// address is the dot-atom form of RFC 5322 with a host of at least two labels.
	address = regexp.MustCompile("[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[A-Za-z0-9-]+(?:\\.[A-Za-z0-9-]+)+")
	link    = regexp.MustCompile(`(?i)\bhttps?://[\p{L}\p{N}.\-\[\]:]+(?:[/?#][^\s<>"]*)?`)
)

// readEmails lists the e-mail addresses of a text.
func readEmails(said string, _ []word, _ Reading) (found []Found) {
	for _, m := range address.FindAllStringIndex(said, 16) {
		found = append(found, span(said[m[0]:m[1]], m[0], m[1]))
	}
	return found
}

// readURLs lists the addresses of web pages in a text.
func readURLs(said string, _ []word, _ Reading) (found []Found) {
	for _, m := range link.FindAllStringIndex(said, 16) {
		value := strings.TrimRight(said[m[0]:m[1]], ".,;:!?)")
		found = append(found, span(value, m[0], m[0]+len(value)))
	}
	return found
}

func sortFound(found []Found) {
	slices.SortStableFunc(found, func(a, b Found) int { return cmp.Compare(a.From, b.From) })
}

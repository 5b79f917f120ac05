package slots

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What an answer means is often known only from the question: "the 12th" and "at 5" are a day and a time to one who asked for
// them, and "yes" is nothing else.

// answers are the words for yes and no.
var answers = func() map[string]bool {
	words := map[string]bool{}
	for _, yes := range strings.Fields("yes yeah yep yup sure certainly definitely absolutely ok okay ja jawohl klar gerne gern natürlich si claro vale oui ouais volontiers certo sim") {
		words[foldedWord(yes)] = true
	}
	for _, no := range strings.Fields("no nope nah nein nee nö nicht non não niet") {
		words[foldedWord(no)] = false
	}
	return words
}()

func foldedWord(w string) string {
	key, _ := keyOf(w)
	return key
}

// readBare reads the answer to the question for a slot where it says no more than it must. The first yes or no of a message counts;
// a number counts where it is the only one.
func readBare(kind Kind, words []word, r Reading) []Found {
	if kind == Boolean {
		for _, w := range words {
			if yes, ok := answers[w.key]; ok {
				return []Found{span(yes, w.from, w.to)}
			}
		}
		return nil
	}
	var only *word
	n := 0
	for i, w := range words {
		value, ok := number(w.key)
		switch {
		case !ok:
		case only != nil:
			return nil
		default:
			only, n = &words[i], value
		}
	}
	if only == nil || (kind == Date || kind == Time) && !bare(words) {
		return nil
	}
	switch kind {
	case Date:
		if date, ok := comingDay(n, r.Now.UTC().Truncate(24*time.Hour)); ok {
			return []Found{span(date.Format(time.DateOnly), only.from, only.to)}
		}
	case Time:
		if n <= 24 {
			return []Found{span(fmt.Sprintf("%02d:00", n%24), only.from, only.to)}
		}
	case Number, Integer:
		return []Found{span(json.Number(strconv.Itoa(n)), only.from, only.to)} // an article: "einen, bitte"
	}
	return nil
}

// bare reports whether words with a number are only that, with an article or so: "in 5 minutes" is no time, "30 February" no day.
func bare(words []word) bool {
	const most = 4 // "the 12th please"
	return len(words) <= most && !slices.ContainsFunc(words, func(w word) bool {
		_, month := names().months[w.key]
		_, period := periods[w.key]
		return month || period || measures[w.key] || strings.HasPrefix(w.key, "minut")
	})
}

// number is that of a word of at most three digits, or a number word.
func number(key string) (int, bool) {
	if n, ok := numberWords[key]; ok {
		return n, true
	}
	n, err := strconv.Atoi(key)
	return n, err == nil && len(key) <= 3
}

// comingDay is the next such day of a month from today on.
func comingDay(d int, today time.Time) (time.Time, bool) {
	for months := range 12 {
		first := time.Date(today.Year(), today.Month()+time.Month(months), 1, 0, 0, 0, 0, time.UTC)
		if date, ok := day(first.Year(), int(first.Month()), d); ok && !date.Before(today) {
			return date, true
		}
	}
	return time.Time{}, false
}

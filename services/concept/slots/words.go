package slots

import (
	"strings"
	"unicode"

	"dbslm/pkg/text"
)

// word is a run of letters and digits of a text.
type word struct {
	key      string // folded
	from, to int    // bytes
}

// wordsOf lists the words of a text. A run of digits and one of letters are two words, so that "3pm" can be read.
func wordsOf(said string) []word {
	var words []word
	start, digits := -1, false
	end := func(at int) {
		if start >= 0 {
			if key := text.FoldKey(said[start:at]); key != "" {
				words = append(words, word{key, start, at})
			}
		}
		start = -1
	}
	for i, r := range said {
		switch {
		case unicode.IsDigit(r):
			if start >= 0 && !digits {
				end(i)
			}
			if start < 0 {
				start, digits = i, true
			}
		case unicode.IsLetter(r) || unicode.IsMark(r) && start >= 0:
			if start >= 0 && digits {
				end(i)
			}
			if start < 0 {
				start, digits = i, false
			}
		default:
			end(i)
		}
	}
	end(len(said))
	return words
}

// gazetteer looks words up.
type gazetteer struct {
	values  map[string]string // by folded words
	longest int               // words
}

// newGazetteer makes the list of a slot; nil for a slot without values. Two values under one name are refused.
func newGazetteer(slot Slot) (*gazetteer, error) {
	if len(slot.Values) == 0 {
		return nil, nil
	}
	g := &gazetteer{values: map[string]string{}}
	for _, v := range slot.Values {
		if strings.TrimSpace(v.Value) != v.Value || v.Value == "" || len(v.Value) > maxValue {
			return nil, invalid("slot %s has the value %q; a value has 1 to %d bytes without blanks around it", slot.Slot, text.Truncate(v.Value, 64), maxValue)
		}
		for i, name := range append([]string{v.Value}, v.Synonyms...) {
			key, n := keyOf(name)
			other, known := g.values[key]
			switch {
			case n == 0:
				return nil, invalid("%q of slot %s holds no word", name, slot.Slot)
			case known && other != v.Value:
				return nil, invalid("%q of slot %s means both %s and %s", name, slot.Slot, other, v.Value)
			case known && i == 0:
				return nil, invalid("slot %s has the value %s twice", slot.Slot, v.Value)
			}
			g.values[key] = v.Value
			g.longest = max(g.longest, n)
		}
	}
	return g, nil
}

func keyOf(name string) (key string, n int) {
	words := wordsOf(name)
	keys := make([]string, len(words))
	for i, w := range words {
		keys[i] = w.key
	}
	return strings.Join(keys, " "), len(words)
}

// read looks for the longest names from the left.
func (g *gazetteer) read(words []word) (found []Found) {
	for i := 0; i < len(words); i++ {
		var key strings.Builder
		best := 0
		value := ""
		for n := 1; n <= g.longest && i+n <= len(words); n++ {
			if n > 1 {
				key.WriteByte(' ')
			}
			key.WriteString(words[i+n-1].key)
			if v, ok := g.values[key.String()]; ok {
				best, value = n, v
			}
		}
		if best > 0 {
			found = append(found, span(value, words[i].from, words[i+best-1].to))
			i += best - 1
		}
	}
	return found
}

package concept

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"sync"

	"dbslm/pkg/text"
	"dbslm/services/concept/template"
)

// Languages lists the language codes to try for a wanted one, best first: "pt-BR", "pt", "".
func Languages(code string) []string {
	var out []string
	for code = strings.ReplaceAll(code, "_", "-"); code != ""; {
		out = append(out, code)
		cut := strings.LastIndexByte(code, '-')
		if cut < 0 {
			break
		}
		code = code[:cut]
	}
	return append(out, "")
}

// Skipped says why no template of a concept could speak.
type Skipped string

// The reasons.
const (
	SkippedNone       Skipped = ""
	SkippedNoTemplate Skipped = "no_template"
	SkippedSlot       Skipped = "missing_slot"
)

// Voice is a template that was read, ready to speak.
type Voice struct {
	Template
	text      *template.Template
	condition template.Condition
	tags      []string
	said      func() *regexp.Regexp // of what it may say, at the end of a text; nil where that is not told by its words
}

// Read reads a template and its condition. Its errors are InvalidArgument.
func (t Template) Read() (*Voice, error) {
	parsed, err := template.Parse(t.Text, t.Language)
	if err != nil {
		return nil, err
	}
	condition, err := template.ParseCondition(t.Condition)
	if err != nil {
		return nil, err
	}
	return &Voice{t, parsed, condition, strings.Fields(t.Tags), sync.OnceValue(func() *regexp.Regexp { return ending(parsed) })}, nil
}

// ending is an expression of the texts that end with what a template may say; nil for one that has no words of its own.
func ending(t *template.Template) *regexp.Regexp {
	if len(text.FoldedWords(t.Literal())) < 2 {
		return nil
	}
	expression, err := regexp.Compile(`(?:^|\s)` + t.Expression() + `\s*$`)
	if err != nil { // a template of many parts is too large for one
		return nil
	}
	return expression
}

// MayHaveSaid reports whether a text ends with what the template may say, by its own words: at least two of them.
func (v *Voice) MayHaveSaid(said string) bool {
	expression := v.said()
	return expression != nil && expression.MatchString(said)
}

// Slots lists the slots that the template says or that decide whether it speaks.
func (v *Voice) Slots() []string { return append(v.text.Slots(), v.condition.Slots()...) }

// Say fills the template.
func (v *Voice) Say(payload map[string]any) (string, error) { return v.text.Render(payload) }

// Wish is what is wanted of a template.
type Wish struct {
	Asks     string   // slot that it asks for; "" for one that says the concept
	Language string   // code; its parents and the default language are tried after it
	Tags     []string // those with most of them are taken, all where none has any
	Seed     uint64
	Avoid    string // id of the one not to take where there is another; "" for none
}

// Pick chooses among the templates of one concept: the first language of the fallback that has any whose condition holds and
// whose slots are all filled; among those the ones with most of the wanted tags; of them by weight, drawn with the seed, without
// the one to avoid where there is another. Missing lists the slots whose absence kept a template from speaking.
func Pick(templates []*Voice, payload map[string]any, w Wish) (picked *Voice, missing []string, why Skipped) {
	why = SkippedNoTemplate
	for _, code := range Languages(w.Language) {
		var fit []*Voice
		most := 0
		for _, t := range templates {
			if t.Asks != w.Asks || !strings.EqualFold(t.Language, code) || !t.condition.Holds(payload) {
				continue
			}
			if m := t.text.Missing(payload); len(m) > 0 {
				missing, why = append(missing, m...), SkippedSlot
				continue
			}
			if n := t.tagged(w.Tags); n >= most {
				if n > most {
					fit, most = nil, n
				}
				fit = append(fit, t)
			}
		}
		if len(fit) > 0 {
			picked = draw(fit, w.Seed)
			if picked.ID == w.Avoid && len(fit) > 1 {
				fit = slices.DeleteFunc(fit, func(t *Voice) bool { return t.ID == w.Avoid })
				picked = draw(fit, mix(w.Seed))
			}
			return picked, nil, SkippedNone
		}
	}
	slices.Sort(missing)
	return nil, slices.Compact(missing), why
}

// tagged is how many of the wanted tags the template has.
func (v *Voice) tagged(wanted []string) (n int) {
	for _, tag := range wanted {
		if slices.Contains(v.tags, tag) {
			n++
		}
	}
	return n
}

// draw picks by integer weights, thousandths of the given ones, in an order that does not depend on storage.
func draw(templates []*Voice, seed uint64) *Voice {
	slices.SortFunc(templates, func(a, b *Voice) int {
		return cmp.Or(strings.Compare(a.Language, b.Language), strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	})
	var total uint64
	weights := make([]uint64, len(templates))
	for i, t := range templates {
		weights[i] = max(uint64(t.Weight*1000), 1)
		total += weights[i]
	}
	at := mix(seed) % total
	for i, w := range weights {
		if at < w {
			return templates[i]
		}
		at -= w
	}
	return templates[len(templates)-1]
}

// mix is the finalizer of SplitMix64 (Steele, Lea and Flood 2014).
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

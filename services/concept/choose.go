package concept

import (
	"cmp"
	"slices"
	"strings"

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

// Statements are the templates that say a concept.
func Statements(templates []Template) []Template { return asking(templates, "") }

// Questions are the templates that ask the person for a slot.
func Questions(templates []Template, slot string) []Template { return asking(templates, slot) }

func asking(templates []Template, slot string) (out []Template) {
	for _, t := range templates {
		if t.Asks == slot {
			out = append(out, t)
		}
	}
	return out
}

// PickTemplate chooses among the templates of one concept: the first language of the fallback that has any whose
// condition holds and whose slots are all filled; among those by weight, drawn with the seed, without the one to
// avoid where there is another. Missing lists the slots whose absence kept a template from speaking.
func PickTemplate(templates []Template, language string, payload map[string]any, seed uint64, avoid string) (picked *Template, missing []string, why Skipped) {
	why = SkippedNoTemplate
	for _, code := range Languages(language) {
		var fit []Template
		for _, t := range templates {
			if !strings.EqualFold(t.Language, code) {
				continue
			}
			parsed, err := template.Parse(t.Text, t.Language)
			condition, conditionErr := template.ParseCondition(t.Condition)
			if err != nil || conditionErr != nil || !condition.Holds(payload) {
				continue
			}
			if m := parsed.Missing(payload); len(m) > 0 {
				missing, why = append(missing, m...), SkippedSlot
				continue
			}
			fit = append(fit, t)
		}
		if len(fit) > 0 {
			picked = draw(fit, seed)
			if picked.ID == avoid && len(fit) > 1 {
				fit = slices.DeleteFunc(fit, func(t Template) bool { return t.ID == avoid })
				picked = draw(fit, mix(seed))
			}
			return picked, nil, SkippedNone
		}
	}
	slices.Sort(missing)
	return nil, slices.Compact(missing), why
}

// draw picks by integer weights, thousandths of the given ones, in an order that does not depend on storage.
func draw(templates []Template, seed uint64) *Template {
	slices.SortFunc(templates, func(a, b Template) int {
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
			return &templates[i]
		}
		at -= w
	}
	return &templates[len(templates)-1]
}

// mix is the finalizer of SplitMix64 (Steele, Lea and Flood 2014).
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

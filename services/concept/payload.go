package concept

import (
	"strings"

	"dbslm/pkg/text"
)

// Source is one place that slot values come from.
type Source struct {
	Name   string // as traces name it
	Values map[string]any
}

// Fill takes each wanted slot from the first source that has a value for it, and says which one that was.
func Fill(slots []string, sources []Source) (payload map[string]any, from map[string]string) {
	payload, from = map[string]any{}, map[string]string{}
	for _, slot := range slots {
		for _, s := range sources {
			if v, ok := s.Values[slot]; ok && v != nil && v != "" {
				payload[slot], from[slot] = v, s.Name
				break
			}
		}
	}
	return payload, from
}

// FactValues gives facts as slot values: a fact fills the slot that is named like its attribute, white space as
// underscores and letter case aside. Of several the first wins, so the caller puts the strongest first.
func FactValues(facts []Fact) map[string]any {
	values := map[string]any{}
	for _, f := range facts {
		name := SlotName(f.Attribute)
		if _, ok := values[name]; !ok && name != "" && f.Value != "" {
			values[name] = f.Value
		}
	}
	return values
}

// SlotName is the slot that an attribute fills.
func SlotName(attribute string) string {
	return strings.Join(strings.FieldsFunc(text.FoldKey(attribute), func(r rune) bool {
		return r == ' ' || r == '-' || r == '_' || r == '.'
	}), "_")
}

// Bearing returns the correction that the answer must hold: the first that bears on the text.
func Bearing(corrections []Fact) (Fact, bool) {
	for _, c := range corrections {
		if c.Bears && c.Value != "" {
			return c, true
		}
	}
	return Fact{}, false
}

// CorrectedValues gives the slots of the correction that bears on the text.
func CorrectedValues(corrections []Fact) map[string]any {
	c, ok := Bearing(corrections)
	if !ok {
		return nil
	}
	values := map[string]any{SlotCorrectedValue: strings.TrimRight(strings.TrimSpace(c.Value), ".!")}
	if c.Entity != "" && c.Attribute != "" {
		values[SlotCorrectedEntity], values[SlotCorrectedAttribute] = c.Entity, strings.ReplaceAll(c.Attribute, "_", " ")
	}
	return values
}

// insteadOf stands between what is right and what was wrong, by language.
var insteadOf = map[string]string{
	"": " instead of ", "en": " instead of ", "de": " statt ", "es": " en lugar de ", "fr": " au lieu de ", "pt": " em vez de ",
}

// CorrectionText says what corrections hold, as part of a sentence. Only the one with the given id is said when
// an id is given; one that no longer holds is not among the facts, and then nothing is said. Language is that of the sentence.
func CorrectionText(corrections []Fact, id, language string) string {
	language, _, _ = strings.Cut(strings.ToLower(language), "-")
	if insteadOf[language] == "" {
		language = ""
	}
	english := language == "" || language == "en"
	var said []string
	for _, c := range corrections {
		if c.CorrectionID == "" || id != "" && c.CorrectionID != id {
			continue
		}
		value := strings.TrimRight(strings.TrimSpace(c.Value), ".!")
		attribute := strings.ReplaceAll(c.Attribute, "_", " ")
		switch {
		case c.Entity != "" && attribute != "" && !english:
			said = append(said, c.Entity+", "+attribute+": "+value)
		case attribute != "" && !english:
			said = append(said, attribute+": "+value)
		case c.Entity != "" && !english:
			said = append(said, c.Entity+": "+value)
		case c.Entity != "" && attribute != "":
			said = append(said, "the "+attribute+" of "+c.Entity+" is "+value)
		case attribute != "":
			said = append(said, "the "+attribute+" is "+value)
		case c.Entity != "":
			said = append(said, c.Entity+" is "+value)
		case c.ErrorContext != "":
			said = append(said, value+insteadOf[language]+strings.TrimRight(strings.TrimSpace(c.ErrorContext), ".!"))
		default:
			said = append(said, value)
		}
	}
	return strings.Join(said, "; ")
}

package concept_test

import (
	"testing"

	"dbslm/services/concept"
)

func TestTongues(t *testing.T) {
	tongues := concept.NewTongues([]concept.Template{
		{Text: "We are open from {open}."},
		{Text: "Cheerio, see you {day}.", Language: "en-GB"},
		{Text: "Guten Tag, wir haben ab {open} geöffnet.", Language: "de"},
		{Text: "Abrimos às {open}.", Language: "pt"},
		{Text: "Abrimos às {open}, viu?", Language: "pt-BR"},
	})
	for said, want := range map[string]struct {
		code string
		told bool
	}{
		"When are you open?":     {"", true}, // English of two kinds is English
		"Cheerio":                {"en-GB", true},
		"Guten Tag":              {"de", true},
		"Wann habt ihr offen?":   {"de", true},
		"A que horas abrem?":     {"pt", true},
		"E no sábado, viu?":      {"pt-BR", true},
		"Rivet":                  {"", false},
		"42":                     {"", false},
		"":                       {"", false},
		"\xff\x00":               {"", false},
		"Quanto é que isso fica": {"pt", true},
	} {
		if code, told := tongues.Of(said); code != want.code || told != want.told {
			t.Errorf("%q: %q, %v; want %q, %v", said, code, told, want.code, want.told)
		}
	}
	if code, told := concept.NewTongues([]concept.Template{{Text: "Hello."}}).Of("Guten Tag"); code != "" || told {
		t.Errorf("a bot of one language: %q, %v", code, told)
	}
}

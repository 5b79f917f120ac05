package concept_test

import (
	"testing"

	"dbslm/services/concept"

	"github.com/google/go-cmp/cmp"
)

func TestLanguages(t *testing.T) {
	for code, want := range map[string][]string{
		"": {""}, "pt": {"pt", ""}, "pt-BR": {"pt-BR", "pt", ""}, "zh_Hant_TW": {"zh-Hant-TW", "zh-Hant", "zh", ""},
	} {
		if got := concept.Languages(code); !cmp.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", code, got, want)
		}
	}
}

func TestPickTemplate(t *testing.T) {
	templates := []concept.Template{
		{ID: "1", Name: "plain", Text: "hello", Weight: 1},
		{ID: "2", Name: "named", Text: "hello {name}", Weight: 3, Condition: "name"},
		{ID: "3", Name: "plain", Language: "pt", Text: "olá {title}", Weight: 1},
	}
	counts := map[string]int{}
	for seed := range uint64(4000) {
		picked, _, _ := concept.PickTemplate(templates, "", map[string]any{"name": "Ana"}, seed, "")
		counts[picked.ID]++
	}
	if share := float64(counts["2"]) / 4000; share < 0.7 || share > 0.8 {
		t.Errorf("weight 3 of 4 was drawn with share %v", share)
	}
	// One to avoid gives way to others by their weights, and speaks where it is the only one.
	three, counts := append(templates[:2:2], concept.Template{ID: "4", Name: "third", Text: "hi {name}", Weight: 1}), map[string]int{}
	for seed := range uint64(4000) {
		picked, _, _ := concept.PickTemplate(three, "", map[string]any{"name": "Ana"}, seed, "4")
		counts[picked.ID]++
		if picked, _, _ = concept.PickTemplate(three[2:], "", map[string]any{"name": "Ana"}, seed, "4"); picked.ID != "4" {
			t.Fatal("the only template was avoided")
		}
	}
	if share := float64(counts["2"]) / 4000; counts["4"] > 0 || share < 0.7 || share > 0.8 {
		t.Errorf("with one to avoid: %v", counts)
	}
	if picked, _, _ := concept.PickTemplate(templates, "pt-BR", map[string]any{"title": "Dona"}, 1, ""); picked.ID != "3" {
		t.Errorf("pt-BR falls back to pt: got %v", picked)
	}
	if picked, _, _ := concept.PickTemplate(templates, "pt-BR", nil, 1, ""); picked.ID != "1" {
		t.Errorf("a template without its value gives way to the default language: got %v", picked)
	}
	picked, missing, why := concept.PickTemplate(templates[2:], "pt", nil, 1, "")
	if picked != nil || !cmp.Equal(missing, []string{"title"}) || why != concept.SkippedSlot {
		t.Errorf("got %v, %q, %q", picked, missing, why)
	}
	if _, _, why := concept.PickTemplate(templates[2:], "de", nil, 1, ""); why != concept.SkippedNoTemplate {
		t.Errorf("got %q", why)
	}
	reversed := []concept.Template{templates[1], templates[0]}
	for seed := range uint64(50) {
		a, _, _ := concept.PickTemplate(templates[:2], "", map[string]any{"name": "x"}, seed, "")
		b, _, _ := concept.PickTemplate(reversed, "", map[string]any{"name": "x"}, seed, "")
		if a.ID != b.ID {
			t.Fatal("the order of storage decides")
		}
	}
}

func TestFactValues(t *testing.T) {
	got := concept.FactValues([]concept.Fact{
		{Attribute: "Membership Price", Value: "24 euros"}, {Attribute: "membership_price", Value: "9"}, {Value: "x"}, {Attribute: "tel", Value: ""},
	})
	if want := map[string]any{"membership_price": "24 euros"}; !cmp.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCorrectionText(t *testing.T) {
	facts := []concept.Fact{
		{Entity: "France", Attribute: "capital", Value: "Paris.", CorrectionID: "1"},
		{ErrorContext: "Lyon", Value: "Paris", CorrectionID: "2"},
		{Attribute: "opening_day", Value: "Friday", CorrectionID: "3"},
		{Value: "told", CorrectionID: ""},
	}
	for id, want := range map[string]string{
		"1": "the capital of France is Paris", "2": "Paris instead of Lyon", "3": "the opening day is Friday", "gone": "",
		"": "the capital of France is Paris; Paris instead of Lyon; the opening day is Friday",
	} {
		if got := concept.CorrectionText(facts, id, ""); got != want {
			t.Errorf("%q: got %q, want %q", id, got, want)
		}
	}
}

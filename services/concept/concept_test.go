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

// pick reads templates and picks one.
func pick(t *testing.T, templates []concept.Template, payload map[string]any, w concept.Wish) (picked *concept.Voice, missing []string, why concept.Skipped) {
	t.Helper()
	var voices []*concept.Voice
	for _, tpl := range templates {
		v, err := tpl.Read()
		if err != nil {
			t.Fatal(err)
		}
		voices = append(voices, v)
	}
	return concept.Pick(voices, payload, w)
}

func TestPick(t *testing.T) {
	templates := []concept.Template{
		{ID: "1", Name: "plain", Text: "hello", Weight: 1},
		{ID: "2", Name: "named", Text: "hello {name}", Weight: 3, Condition: "name"},
		{ID: "3", Name: "plain", Language: "pt", Text: "olá {title}", Weight: 1},
	}
	counts := map[string]int{}
	for seed := range uint64(4000) {
		picked, _, _ := pick(t, templates, map[string]any{"name": "Ana"}, concept.Wish{Seed: seed})
		counts[picked.ID]++
	}
	if share := float64(counts["2"]) / 4000; share < 0.7 || share > 0.8 {
		t.Errorf("weight 3 of 4 was drawn with share %v", share)
	}
	// One to avoid gives way to others by their weights, and speaks where it is the only one.
	three, counts := append(templates[:2:2], concept.Template{ID: "4", Name: "third", Text: "hi {name}", Weight: 1}), map[string]int{}
	for seed := range uint64(4000) {
		picked, _, _ := pick(t, three, map[string]any{"name": "Ana"}, concept.Wish{Seed: seed, Avoid: "4"})
		counts[picked.ID]++
		if picked, _, _ = pick(t, three[2:], map[string]any{"name": "Ana"}, concept.Wish{Seed: seed, Avoid: "4"}); picked.ID != "4" {
			t.Fatal("the only template was avoided")
		}
	}
	if share := float64(counts["2"]) / 4000; counts["4"] > 0 || share < 0.7 || share > 0.8 {
		t.Errorf("with one to avoid: %v", counts)
	}
	if picked, _, _ := pick(t, templates, map[string]any{"title": "Dona"}, concept.Wish{Language: "pt-BR", Seed: 1}); picked.ID != "3" {
		t.Errorf("pt-BR falls back to pt: got %v", picked)
	}
	if picked, _, _ := pick(t, templates, nil, concept.Wish{Language: "pt-BR", Seed: 1}); picked.ID != "1" {
		t.Errorf("a template without its value gives way to the default language: got %v", picked)
	}
	picked, missing, why := pick(t, templates[2:], nil, concept.Wish{Language: "pt", Seed: 1})
	if picked != nil || !cmp.Equal(missing, []string{"title"}) || why != concept.SkippedSlot {
		t.Errorf("got %v, %q, %q", picked, missing, why)
	}
	if _, _, why := pick(t, templates[2:], nil, concept.Wish{Language: "de", Seed: 1}); why != concept.SkippedNoTemplate {
		t.Errorf("got %q", why)
	}
	tagged := []concept.Template{
		{ID: "5", Text: "good day", Weight: 1, Tags: "formal"},
		{ID: "6", Text: "good day, dear guest", Weight: 1, Tags: "formal long"},
		{ID: "7", Text: "hi", Weight: 100},
		{ID: "8", Text: "which?", Asks: "name", Tags: "formal long", Weight: 1},
	}
	for want, tags := range map[string][]string{"6": {"long", "formal"}, "7": nil, "8": {"other"}} {
		asks := ""
		if want == "8" {
			asks = "name"
		}
		if picked, _, _ := pick(t, tagged, nil, concept.Wish{Tags: tags, Asks: asks, Seed: 3}); picked.ID != want {
			t.Errorf("tags %v, asking for %q: got %s, want %s", tags, asks, picked.ID, want)
		}
	}
	reversed := []concept.Template{templates[1], templates[0]}
	for seed := range uint64(50) {
		a, _, _ := pick(t, templates[:2], map[string]any{"name": "x"}, concept.Wish{Seed: seed})
		b, _, _ := pick(t, reversed, map[string]any{"name": "x"}, concept.Wish{Seed: seed})
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

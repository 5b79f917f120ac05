package schema_test

import (
	"strings"
	"testing"

	"dbslm/pkg/errors"
	"dbslm/services/concept/schema"

	"github.com/google/go-cmp/cmp"
)

func TestShorthand(t *testing.T) {
	s, err := schema.Parse(`{"city": "string", "nights": "integer?"}`)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"properties":{"city":{"type":"string"},"nights":{"type":"integer"}},"required":["city"],"type":"object"}`
	if s.Text != want {
		t.Errorf("got %s, want %s", s.Text, want)
	}
	if !cmp.Equal(s.Properties(), []string{"city", "nights"}) || !s.Declares("city") || s.Declares("x") || !s.Allows("x") {
		t.Error("properties are wrong")
	}
	for payload, ok := range map[string]bool{
		`{"city":"Rome"}`: true, `{"city":"Rome","nights":2}`: true, `{}`: false, `{"city":1}`: false, `{"city":"Rome","nights":"two"}`: false,
	} {
		object, err := schema.Object(payload)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(object); (err == nil) != ok {
			t.Errorf("%s: %v", payload, err)
		}
	}
	again, err := schema.Parse(s.Text)
	if err != nil || again.Text != s.Text {
		t.Errorf("expanding twice: %v, %v", again, err)
	}
}

func TestDefaultsAndClosedSchemas(t *testing.T) {
	s, err := schema.Parse(`{"type":"object","properties":{"a":{"type":"string","default":"x"}},"additionalProperties":false}`)
	if err != nil {
		t.Fatal(err)
	}
	if s.Allows("b") || !s.Allows("a") || s.Defaults()["a"] != "x" {
		t.Error("a closed schema allows only what it names, and gives its defaults")
	}
	if none, err := schema.Parse(" "); none != nil || err != nil || !none.Allows("x") || none.Validate(nil) != nil {
		t.Error("no schema allows everything")
	}
}

func TestRefusals(t *testing.T) {
	for name, text := range map[string]string{
		"list":            `["a"]`,
		"null":            `null`,
		"bad JSON":        `{"a":`,
		"two values":      `{} {}`,
		"bad type":        `{"type": 7}`,
		"bad shorthand":   `{"type": "strnig"}`,
		"remote schema":   `{"$ref": "https://example.com/schema.json"}`,
		"local file":      `{"$ref": "file:///etc/passwd"}`,
		"deep":            strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100),
		"too long":        `{"a": "` + strings.Repeat("x", schema.MaxText) + `"}`,
		"bad regexp":      `{"pattern": "("}`,
		"wrong container": `{"properties": []}`,
	} {
		if _, err := schema.Parse(text); errors.KindOf(err) != errors.InvalidArgument {
			t.Errorf("%s: got %v, want InvalidArgument", name, err)
		}
	}
}

func FuzzObject(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, `{"a":"\""}`, `{{`, `[[[[`, `{"a":"{{{{"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if o, err := schema.Object(text); err == nil && o == nil {
			t.Fatalf("%q gave neither an object nor an error", text)
		}
		_, _ = schema.Parse(text)
	})
}

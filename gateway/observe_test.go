package gateway

import "testing"

func TestRejects(t *testing.T) {
	for message, want := range map[string]bool{
		"That was not what I asked.":        true,
		"no, that's NOT what I  asked":      true,
		"I didn’t ask that":                 true,
		"You misunderstood me.":             true,
		"Das habe ich nicht gefragt!":       true,
		"Não foi isso que perguntei.":       true,
		"Ce n’est pas ce que j’ai demandé.": true,
		"No pregunté eso.":                  true,
		"No, it is Paris.":                  false,
		"What did I ask?":                   false,
		"":                                  false,
	} {
		if got := rejects(message); got != want {
			t.Errorf("%q: %v", message, got)
		}
	}
}

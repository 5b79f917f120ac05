package concept

import (
	"slices"
	"strings"

	"dbslm/pkg/text"
)

const (
	// MaxAsked is how often one slot is asked for before the question is left.
	MaxAsked = 2
	// MaxAside is how many replies in a row may be about something else before it is.
	MaxAside = 2
	// maxDrop is the longest message that calls a question off, in bytes: a longer one tells something else too.
	maxDrop = 80
	// dropBeside is how many words may stand beside the phrase.
	dropBeside = 3
)

// drops are the ways to call a question off, by language, folded and without punctuation.
var drops = map[string][]string{
	"en": {"never mind", "nevermind", "forget it", "forget that", "forget about it", "cancel", "cancel it", "cancel that", "stop", "leave it", "drop it", "no thanks", "no thank you", "i changed my mind", "i have changed my mind"},
	"de": {"abbrechen", "abbruch", "stopp", "stop", "vergiss es", "vergessen sie es", "egal", "lass es", "lassen sie es", "lassen wir das", "lassen wir es", "schon gut", "nein danke", "doch nicht"},
	"es": {"cancelar", "cancela", "cancele", "olvidalo", "olvidelo", "dejalo", "dejelo", "dejemoslo", "no importa", "no gracias"},
	"fr": {"annuler", "annule", "annulez", "laisse tomber", "laissez tomber", "oublie", "oubliez", "non merci", "peu importe"},
	"pt": {"cancelar", "cancela", "cancele", "esquece", "esqueca", "deixa", "deixe", "deixa la", "deixe estar", "nao importa", "nao obrigado", "nao obrigada"},
}

// CallsOff reports whether a message calls off the question before it.
func CallsOff(said string) bool {
	if len(said) > maxDrop {
		return false
	}
	words := text.FoldedWords(said)
	for _, phrases := range drops {
		for _, phrase := range phrases {
			wanted := strings.Fields(phrase)
			if len(words) < len(wanted) || len(words) > len(wanted)+dropBeside {
				continue
			}
			if slices.Equal(words[:len(wanted)], wanted) || slices.Equal(words[len(words)-len(wanted):], wanted) {
				return true
			}
		}
	}
	return false
}

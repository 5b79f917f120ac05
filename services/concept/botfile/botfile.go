// Package botfile reads and writes a bot as one file of YAML, of which JSON is a part, so that a bot lives in git:
//
//	concepts:
//	  OpeningHours:
//	    description: When the Loft is open.
//	    schema: {hours: string}
//	    values: {hours: "15:00–19:00"}
//	    templates:
//	      - text: "We are open {hours}."
//	      - {text: "Wir haben {hours} geöffnet.", language: de}
//	    examples: [When are you open?, Wann habt ihr geöffnet?]
//
// Everything that is wrong with a file is reported at once, each with its line. Aliases are refused, so that a small file
// cannot grow when it is read.
package botfile

import (
	"cmp"
	"fmt"
	"slices"

	"dbslm/services/concept"
)

const (
	// MaxBytes is the largest file.
	MaxBytes = 4 << 20
	// MaxProblems is how many problems are reported of one file.
	MaxProblems = 200
	// maxDepth bounds how deep a file nests.
	maxDepth = 64
	// maxConcepts, maxTemplates and maxExamples bound a bot.
	maxConcepts  = 2000
	maxTemplates = 10000
	maxExamples  = 50000
)

// Bot is what a file says. Everything in it is sorted.
type Bot struct {
	Concepts  []concept.Concept
	Templates []concept.Template
	Examples  []concept.Example
}

// Problem is something wrong with a file, or doubtful when Warning is set.
type Problem struct {
	Line, Column int // from 1; 0 where there is no place
	Warning      bool
	Text         string
}

// String is "line 3, column 5: text".
func (p Problem) String() string {
	text := p.Text
	if p.Warning {
		text = "warning: " + text
	}
	if p.Line == 0 {
		return text
	}
	return fmt.Sprintf("line %d, column %d: %s", p.Line, p.Column, text)
}

// Wrong reports whether any of the problems is more than a warning.
func Wrong(problems []Problem) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool { return !p.Warning })
}

func (b *Bot) sort() {
	slices.SortFunc(b.Concepts, func(a, b concept.Concept) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(b.Templates, func(a, b concept.Template) int {
		return cmp.Or(cmp.Compare(a.Concept, b.Concept), cmp.Compare(a.Language, b.Language), cmp.Compare(a.Name, b.Name))
	})
	slices.SortFunc(b.Examples, compareExamples)
}

func compareExamples(a, b concept.Example) int {
	return cmp.Or(cmp.Compare(a.Concept, b.Concept), cmp.Compare(a.Utterance, b.Utterance))
}

package text

import (
	"encoding/json"
	"io"

	"dbslm/pkg/errors"
)

const (
	// maxSentenceTokens and maxSentenceBytes end a sentence that does not end itself.
	maxSentenceTokens = 1000
	maxSentenceBytes  = 32 << 10
	// maxWordBytes cuts a run of letters, so that a token fits the vocabulary's column (1024 bytes) even
	// where a lower-case letter takes more bytes than its capital.
	maxWordBytes = 512
	// maxSpaceBytes of white space end a paragraph even on one line.
	maxSpaceBytes = 1024
	// lookahead is how far beyond the current place a decision may look.
	lookahead = 4096
)

// Values of the parameter "lines" of the words tokeniser.
const (
	linesWrapped  = "wrapped"  // a line end is a space; an empty line ends a paragraph
	linesSeparate = "separate" // every line end ends a sentence
)

type wordsParameters struct {
	Lines string `json:"lines"`
}

// words is the tokeniser for running text; doc.go and decision record 0006 have its rules.
type words struct {
	parameters    wordsParameters
	normalization Normalization
	classes       *[basicPlane]class
}

func newWords(p wordsParameters, n Normalization) (*words, error) {
	if p.Lines != linesWrapped && p.Lines != linesSeparate {
		return nil, errors.New(errors.InvalidArgument, "BAD_TOKENIZER_PARAMETERS",
			`tokeniser words: "lines" is %q; choose "wrapped" (an empty line ends a paragraph) or "separate" (every line is one)`, p.Lines)
	}
	return &words{parameters: p, normalization: n, classes: classes()}, nil
}

func (t *words) Kind() string { return Words }

func (t *words) Parameters() string {
	b, err := json.Marshal(t.parameters)
	if err != nil { // a struct of strings cannot fail
		return "{}"
	}
	return string(b)
}

func (t *words) Split(s string) ([]Sentence, error) { return splitWith(t.normalization, s, t.scan) }

func (t *words) Sentences(r io.Reader, yield func(Sentence) error) error {
	return t.scan(newWindow(NewReader(t.normalization, r)), yield)
}

func (t *words) scan(w *window, yield func(Sentence) error) error {
	s := &wordScanner{
		classes:  t.classes,
		separate: t.parameters.Lines == linesSeparate,
		window:   w,
		yield:    yield,
	}
	s.begin(0)
	return s.run()
}

func (t *words) Joiner(form Form) Joiner {
	j := &wordJoiner{form: form, classes: t.classes}
	j.placement = newPlacement()
	return j
}

func (t *words) Detokenize(tokens []string, form Form) string {
	return joinWith(t.Joiner(form), tokens)
}

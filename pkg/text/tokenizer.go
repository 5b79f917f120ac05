package text

import (
	"encoding/json"
	"io"
	"strings"

	"dbslm/pkg/errors"
)

// Token is one token of a sentence.
type Token struct {
	// Text is what the model counts. It is never empty.
	Text []byte
	// Surface is how the token was written, nil if exactly as Text. Surfaces are what a reply is spelled
	// with; see Form. Punctuation may carry its own spacing (" — ", "«\u00a0").
	Surface []byte
	// Initial is true for a word whose capital letter may come from its place (first of a sentence, of
	// direct speech), so that its Surface says little about how it is spelled elsewhere.
	Initial bool
	// Offset is where the token starts, counted like Sentence.Start.
	Offset int64
}

// Written returns the token as it was written: Surface, or Text if there is none.
func (t Token) Written() []byte {
	if t.Surface != nil {
		return t.Surface
	}
	return t.Text
}

// Sentence is a run of tokens that the model sees between its begin and end marks. It may be empty with
// tokenisers for which an empty line is an empty sentence.
type Sentence struct {
	Tokens []Token
	// Start and End count bytes of the normalised text, from 0. Tokenising the normalised text from End
	// on gives exactly the sentences that follow, so End may be stored as a cursor.
	Start, End int64
}

// Texts returns the model tokens as strings.
func (s Sentence) Texts() []string {
	texts := make([]string, len(s.Tokens))
	for i, t := range s.Tokens {
		texts[i] = string(t.Text)
	}
	return texts
}

// Form tells how a model token is to be written. Initial is true at the start of a sentence or of direct
// speech; the detokeniser itself capitalises the word there, so a Form may ignore it. Returning "" means
// "as the token is", for a symbol with the spaces that are usual around it. It is asked about a token as
// often as the answer is needed.
type Form func(token string, initial bool) string

// Tokenizer turns text to sentences of tokens and back. A Tokenizer is immutable and safe for concurrent
// use. It is defined by kind, parameters, normalisation and the data tables of this package.
type Tokenizer interface {
	// Kind is "words", "whitespace" or "bytes".
	Kind() string
	// Parameters is the canonical JSON of all parameters, defaults included; it is stored with a model
	// and gives the same tokeniser when passed to NewTokenizer.
	Parameters() string
	// Sentences reads UTF-8 text from r, normalises it, and yields its sentences in order, in bounded
	// memory. The sentence and everything it points to are valid only until yield returns. An error of
	// yield ends the work and is returned as it is. Text that is not UTF-8 gives an *EncodingError.
	Sentences(r io.Reader, yield func(Sentence) error) error
	// Split returns the sentences of s, in memory of their own.
	Split(s string) ([]Sentence, error)
	// Joiner returns a new detokeniser; form may be nil.
	Joiner(form Form) Joiner
	// Detokenize writes the tokens of one sentence as text; form may be nil.
	Detokenize(tokens []string, form Form) string
}

// Joiner turns tokens back to text, one at a time, for streaming. It has state and one user.
type Joiner interface {
	// Add returns what to append to the text for the next token, with the space before it if there is
	// one. It may be "": then the text comes with a later call.
	Add(token string) string
	// EndSentence ends a sentence: it returns what was still held back, and the next token begins a new one.
	EndSentence() string
	// Clone returns a joiner that goes on from here by itself.
	Clone() Joiner
}

// The kinds of tokeniser.
const (
	Words      = "words"
	Whitespace = "whitespace"
	Bytes      = "bytes"
)

// NewTokenizer returns the tokeniser of that kind. Parameters is a JSON object or "" for the defaults;
// an unknown kind, parameter or value is an InvalidArgument error that lists what there is.
func NewTokenizer(kind, parameters string, n Normalization) (Tokenizer, error) {
	n, err := ParseNormalization(string(n))
	if err != nil {
		return nil, err
	}
	switch kind {
	case Words:
		p := wordsParameters{Lines: linesWrapped}
		if err := parseParameters(kind, parameters, &p); err != nil {
			return nil, err
		}
		return newWords(p, n)
	case Whitespace, Bytes:
		if err := parseParameters(kind, parameters, &struct{}{}); err != nil {
			return nil, err
		}
		return &lines{kind: kind, normalization: n}, nil
	}
	return nil, errors.New(errors.InvalidArgument, "UNKNOWN_TOKENIZER",
		"there is no tokeniser %q; choose words, whitespace or bytes", kind)
}

func parseParameters(kind, parameters string, into any) error {
	if strings.TrimSpace(parameters) == "" {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(parameters))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil || d.More() {
		defaults, _ := json.Marshal(into)
		return errors.New(errors.InvalidArgument, "BAD_TOKENIZER_PARAMETERS",
			"tokeniser %s cannot use the parameters %s; it takes a JSON object like %s", kind, parameters, defaults)
	}
	return nil
}

// splitWith implements Split for every kind, given what implements Sentences.
func splitWith(n Normalization, s string, scan func(*window, func(Sentence) error) error) ([]Sentence, error) {
	normal, err := Normalize(n, []byte(s))
	if err != nil {
		return nil, err
	}
	var out []Sentence
	err = scan(wholeWindow(normal), func(view Sentence) error {
		out = append(out, own(view))
		return nil
	})
	return out, err
}

// own returns a copy of a sentence that shares no memory with it.
func own(view Sentence) Sentence {
	size := 0
	for _, t := range view.Tokens {
		size += len(t.Text) + len(t.Surface)
	}
	memory := make([]byte, 0, size)
	keep := func(b []byte) []byte {
		if b == nil {
			return nil
		}
		start := len(memory)
		memory = append(memory, b...)
		return memory[start:len(memory):len(memory)]
	}
	tokens := make([]Token, len(view.Tokens))
	for i, t := range view.Tokens {
		t.Text, t.Surface = keep(t.Text), keep(t.Surface)
		tokens[i] = t
	}
	view.Tokens = tokens
	return view
}

// joinWith implements Detokenize for every kind.
func joinWith(j Joiner, tokens []string) string {
	var b strings.Builder
	for _, token := range tokens {
		b.WriteString(j.Add(token))
	}
	b.WriteString(j.EndSentence())
	return b.String()
}

package server

import (
	"unicode/utf8"

	"dbslm/pkg/errors"
	"dbslm/pkg/text"
	"dbslm/services/ngram"
	"dbslm/services/ngram/decoding"
	"dbslm/services/ngram/lookup"
)

// breaks says what </s> means in the model: whether its tokens hold sentence marks decides whether a line without one
// is a sentence.
func (o opened) breaks() decoding.Breaks {
	if o.Settings.Tokenizer == ngram.TokenizerBytes || !o.marksSentences() {
		return decoding.BreakAlways
	}
	if o.Settings.Tokenizer == ngram.TokenizerWords {
		return decoding.BreakSentence
	}
	return decoding.BreakLine
}

func (o opened) marksSentences() bool {
	for id := lookup.Specials; int(id) < o.Vocabulary.Len(); id++ {
		last, _ := utf8.DecodeLastRuneInString(o.Vocabulary.Text(id))
		if text.IsSentenceEnd(string(last)) {
			return true
		}
	}
	return false
}

// words returns the tokeniser for running text.
func (o opened) words() (text.Tokenizer, error) {
	if o.Settings.Tokenizer == ngram.TokenizerWords {
		return o.tokenizer, nil
	}
	words, err := text.NewTokenizer(text.Words, "", text.Normalization(o.Settings.Normalization))
	if err != nil {
		return nil, errors.Wrap(err, errors.Internal, "TOKENIZER_MISSING", "the words tokeniser is not available")
	}
	return words, nil
}

// joiners returns what writes the model's tokens as text: with the casing that was counted where the tokeniser counts
// it, and as prose where the tokens were cut elsewhere.
func (o opened) joiners() (func() decoding.Joiner, error) {
	words, err := o.words()
	if err != nil {
		return nil, err
	}
	switch o.Settings.Tokenizer {
	case ngram.TokenizerBytes:
		return func() decoding.Joiner { return o.tokenizer.Joiner(nil) }, nil
	case ngram.TokenizerWhitespace:
		form := o.lowerCaseForm()
		return func() decoding.Joiner { return decoding.NewProse(words.Joiner(form)) }, nil
	}
	form := func(token string, _ bool) string { return o.Form(token) }
	return func() decoding.Joiner { return words.Joiner(form) }, nil
}

// lowerCaseForm writes the English "i" as a capital in a model of lower-case English, which has no forms of its own.
func (o opened) lowerCaseForm() text.Form {
	knows := func(word string) bool { return o.Token([]byte(word)) != lookup.Unknown }
	if !knows("the") || knows("The") || knows("I") {
		return nil
	}
	return func(token string, _ bool) string {
		if token == "i" {
			return "I"
		}
		return ""
	}
}

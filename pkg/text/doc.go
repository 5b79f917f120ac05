// Package text turns text into the sentences of tokens that a model counts, and tokens back into text.
//
//	file ── Decode ──▶ UTF-8 ── NewReader ──▶ normal form ── Tokenizer.Sentences ──▶ tokens with surfaces
//	reply ◀── Joiner ◀── tokens of the model, spelled by a Form made of counted surfaces
//
// Three kinds of tokeniser exist. "words" is for running text: it unwraps paragraphs, finds sentences,
// and gives lower-case tokens that remember how they were written. "whitespace" is for text that was
// tokenised elsewhere: one line is one sentence, tokens are as they are. "bytes" takes a line as a
// sentence of bytes.
//
// The words tokeniser writes punctuation that is typed in several ways in one way ("don’t" and "don't"
// are one token, a straight quote becomes an opening or a closing one) and keeps the difference in the
// surface. So a model counts meaning, and a reply comes out in the style of the training text.
//
// Everything here is a function of its arguments and of Unicode tables: no locale, clock or state.
// The rules, and what was measured before choosing them, are in docs/decisions/0006-text.md.
package text

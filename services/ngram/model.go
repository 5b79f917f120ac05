// Package ngram is level 1 of DB-SLM: an n-gram language model kept in relational tables.
//
// Data flows one way:
//
//	text → tokens → counts (package counting) → probabilities (smoothing, quant) → rows of a build → answers
//	                                                                  (packed)      (lookup, scoring, decoding)
//
// Counting changes integers; a build derives everything else from those integers and never from text; readers see one
// build or another, chosen by one pointer. This package holds the values that its parts share. The pure packages below
// it take values and return values; store is the only one that speaks SQL, server the only one that speaks protobuf.
package ngram

import (
	"fmt"
	"time"

	"dbslm/pkg/errors"
)

// Token ids with a fixed meaning in every model; ordinary tokens follow in the order of their first appearance.
const (
	Unknown       uint32 = 0 // <unk>: any token that the model does not know
	SentenceStart uint32 = 1 // <s>: only ever context
	SentenceEnd   uint32 = 2 // </s>: predicted at the end of a sentence
	FirstWord     uint32 = 3 // the first id of an ordinary token
)

// Bytes of the control tokens, in the order of their ids.
var controlTokens = [FirstWord]string{"<unk>", "<s>", "</s>"}

// ControlToken is how the control token with that id is written; the id must be below FirstWord.
func ControlToken(id uint32) string { return controlTokens[id] }

// Limits of a model.
const (
	MaxOrder      = 255     // longest n-gram in tokens
	MaxTokenBytes = 1024    // longest token that can be trained
	MaxWeight     = 1000000 // greatest weight of a document
	MaxTokens     = 1 << 24 // different tokens of a model, <unk> and marks included (MEDIUMINT UNSIGNED)
	MaxNameBytes  = 128
	DefaultOrder  = 3
)

// DefaultTenant owns what names no tenant.
const DefaultTenant = "default"

// Tokenizer names how text is cut into tokens.
type Tokenizer string

// The tokenisers.
const (
	TokenizerWords      Tokenizer = "words"
	TokenizerWhitespace Tokenizer = "whitespace"
	TokenizerBytes      Tokenizer = "bytes"
)

// Normalization names the Unicode normalisation of text before it is cut.
type Normalization string

// The normalisations.
const (
	NormalizationNFC  Normalization = "nfc"
	NormalizationNFKC Normalization = "nfkc"
	NormalizationNone Normalization = "none"
)

// UnkPolicy says what the strings "<unk>", "<s>" and "</s>" are when a tokeniser yields them as tokens of training text.
type UnkPolicy string

// The policies.
const (
	UnkReserved UnkPolicy = "reserved" // refused, naming document and offset
	UnkLiteral  UnkPolicy = "literal"  // ordinary words, distinct from the control tokens
)

// Settings are the choices on which every count of a model depends; they are fixed when the model is made.
type Settings struct {
	Order               int // N: the longest n-gram counted, 1 to MaxOrder
	Tokenizer           Tokenizer
	TokenizerParameters string // canonical JSON; empty for the tokeniser's defaults
	Normalization       Normalization
	UnkPolicy           UnkPolicy
}

// WithDefaults fills every zero value: order 3, words, NFC, reserved.
func (s Settings) WithDefaults() Settings {
	return s.WithDefaultsFrom(Settings{
		Order:         DefaultOrder,
		Tokenizer:     TokenizerWords,
		Normalization: NormalizationNFC,
		UnkPolicy:     UnkReserved,
	})
}

// WithDefaultsFrom fills every zero value from other. Parameters are taken over only together with their tokeniser.
func (s Settings) WithDefaultsFrom(other Settings) Settings {
	if s.Order == 0 {
		s.Order = other.Order
	}
	if s.TokenizerParameters == "" && (s.Tokenizer == "" || s.Tokenizer == other.Tokenizer) {
		s.TokenizerParameters = other.TokenizerParameters
	}
	if s.Tokenizer == "" {
		s.Tokenizer = other.Tokenizer
	}
	if s.Normalization == "" {
		s.Normalization = other.Normalization
	}
	if s.UnkPolicy == "" {
		s.UnkPolicy = other.UnkPolicy
	}
	return s
}

// Validate says what is wrong with complete settings, as InvalidArgument naming the first bad field.
func (s Settings) Validate() error {
	invalid := func(field, format string, args ...any) error {
		text := fmt.Sprintf(format, args...)
		return errors.New(errors.InvalidArgument, "MODEL_SETTINGS_INVALID", "%s", text).Field("settings."+field, text)
	}
	if s.Order < 1 || s.Order > MaxOrder {
		return invalid("order", "the order must be from 1 to %d, not %d", MaxOrder, s.Order)
	}
	switch s.Tokenizer {
	case TokenizerWords, TokenizerWhitespace, TokenizerBytes:
	default:
		return invalid("tokenizer", "the tokeniser must be words, whitespace or bytes, not %q", s.Tokenizer)
	}
	switch s.Normalization {
	case NormalizationNFC, NormalizationNFKC, NormalizationNone:
	default:
		return invalid("normalization", "the normalisation must be nfc, nfkc or none, not %q", s.Normalization)
	}
	switch s.UnkPolicy {
	case UnkReserved, UnkLiteral:
	default:
		return invalid("unk_policy", "the policy for <unk> must be reserved or literal, not %q", s.UnkPolicy)
	}
	return nil
}

// ModelID is the number of one generation of a model inside a store. A reset begins a new generation under the same
// name; the id never leaves the service.
type ModelID int16

// Model is one named model with the totals of the generation that is being trained.
type Model struct {
	Tenant    string
	Name      string
	ID        ModelID // the generation that is trained
	Settings  Settings
	Published BuildID // 0 when nothing is published
	// Serving is the generation of the published build, and ServingSettings its settings; they differ from ID and
	// Settings between a reset and the publication that completes it. Zero when nothing is published.
	Serving         ModelID
	ServingSettings Settings
	Documents       int64
	Sentences       int64   // weights applied
	Tokens          int64   // weights applied, without ends of sentences
	VocabularySize  int64   // distinct tokens that occur, control tokens included
	TokenEnd        int64   // every token id is below it; ids of forgotten words are not given again
	NGrams          []int64 // distinct n-grams by order; element 0 is order 1
	CountsVersion   int64   // grows with every change of a count
	Stale           bool    // counts changed since the published build was derived, or nothing is published
	Created         time.Time
	TrainingBy      string // who holds the model at this moment; empty when nobody does
}

// Counted says whether the model has counts, or may have them. A model imported from a file of probabilities has words and
// a build but was never counted; nothing can be added to it, taken from it or derived from it.
func (m Model) Counted() bool {
	return m.CountsVersion > 0 || m.TokenEnd <= int64(FirstWord)
}

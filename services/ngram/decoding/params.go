package decoding

import (
	"fmt"
	"math"
)

// Params steer the choice of tokens. Start from DefaultParams or PlainParams; the zero value is not valid.
type Params struct {
	// Temperature divides the log probabilities: 0 always takes the likeliest token, 1 leaves the distribution as it
	// is. In [0, 10].
	Temperature float64
	// TopK keeps the k likeliest tokens; 0 keeps all.
	TopK int
	// TopP keeps the smallest set of likeliest tokens whose share reaches it. In (0, 1].
	TopP float64
	// MinP drops tokens whose probability is below this share of the likeliest one's. In [0, 1].
	MinP float64
	// TypicalP keeps the smallest set of tokens whose information is nearest to the entropy of the distribution and whose
	// share reaches it (Meister et al. 2022). In (0, 1]; 1 keeps all.
	TypicalP float64
	// MaxBackoff keeps tokens that were found at most this many orders below the longest n-grams found in this step:
	// with 0 a token comes from the longest context that the model knows, which reads better than what the backed-off
	// mass would add. AllOrders keeps everything. Words that the cache or a positive bias asks for are always kept.
	MaxBackoff int
	// BestOf is how many replies are drawn; the best one is returned (see Panel). At least 1.
	BestOf int
	// PresencePenalty is subtracted from the log10 probability of every token that the reply holds already, and
	// FrequencyPenalty once per occurrence. Both in [-20, 20].
	PresencePenalty  float64
	FrequencyPenalty float64
	// RepetitionPenalty multiplies the log10 probability of every token that was said already: above 1 makes it less
	// likely, the less likely it was the more. In [0.1, 10]; 1 changes nothing.
	RepetitionPenalty float64
	// PenaltyHistory is how many of the newest tokens of the history count as said for the three penalties, besides
	// the reply.
	PenaltyHistory int
	// MaxCopied refuses to say more than this many consecutive tokens of the training text (see copied); 0 has no limit.
	MaxCopied int
	// MaxCopiedExact has MaxCopied look into the text itself, which Setup.Copies then finds things in.
	MaxCopiedExact bool
	// BeamWidth searches for the likeliest replies instead of drawing them, keeping this many at every step (see Beam); 0
	// draws.
	BeamWidth int
	// LengthPenalty is the power of its length by which the log10 probability of a reply is divided, for the rank it has in a
	// Beam. In [0, 10].
	LengthPenalty float64
	// ShortPenalty, SeamPenalty and EchoPenalty rank the replies of a Panel, in log10 units: what a reply loses for each word
	// missing from five, for each order by which the n-gram of a token is shorter than the longest there could be, and for
	// each token beyond three of the longest run that an earlier reply has as well. In [0, 20].
	ShortPenalty, SeamPenalty, EchoPenalty float64
	// NoRepeatNGram forbids to repeat an n-gram of this length within the reply; 0 allows it.
	NoRepeatNGram int
	// BalanceMarks keeps quotation marks and brackets in pairs, and closes at the end of the reply what is still open.
	BalanceMarks bool
	// MaxTokens bounds the tokens chosen, ends of sentences included. At least 1.
	MaxTokens int
	// MaxSentences bounds the sentences; 0 means until MaxTokens.
	MaxSentences int
	// CacheWeight is the weight of the session cache in [0, 0.9]; negative chooses by the length of the history.
	CacheWeight float64
	// Seed starts the random numbers.
	Seed uint64
	// Stop holds the texts that end a reply.
	Stop []string
}

// Limits of the parameters.
const (
	AllOrders       = 255
	MaxBestOf       = 32
	MaxTemperature  = 10
	MaxTopK         = 1_000_000
	MaxPenalty      = 20
	MaxNoRepeat     = 64
	MaxTokensLimit  = 4096
	MaxSentences    = 256
	MaxCacheWeight  = 0.9
	MaxStops        = 16
	MaxStopBytes    = 256
	MaxStrength     = 20
	MinRepetition   = 0.1
	MaxRepetition   = 10
	MaxHistory      = 4096
	MaxCopiedLimit  = 100_000
	MaxBeamWidth    = 32
	MaxLength       = 10
	AutoCacheWeight = -1
)

// DefaultParams are the parameters of the profile "default".
func DefaultParams() Params {
	return Params{
		Temperature:       0.8,
		TopK:              40,
		TopP:              0.95,
		TypicalP:          1,
		MaxBackoff:        0,
		BestOf:            16,
		RepetitionPenalty: 1,
		LengthPenalty:     1,
		ShortPenalty:      3,
		SeamPenalty:       2,
		EchoPenalty:       1,
		NoRepeatNGram:     4,
		BalanceMarks:      true,
		MaxTokens:         60,
		MaxSentences:      1,
		CacheWeight:       AutoCacheWeight,
	}
}

// PlainParams are the parameters of the profile "plain": the model's own distribution, without truncation or steering.
func PlainParams() Params {
	return Params{
		Temperature: 1, TopP: 1, TypicalP: 1, MaxBackoff: AllOrders, BestOf: 1, RepetitionPenalty: 1, LengthPenalty: 1, MaxTokens: 60,
		MaxSentences: 1, ShortPenalty: 0.5,
	}
}

// Violation names a parameter outside its range. Field is spelt as in the protos.
type Violation struct {
	Field       string
	Description string
}

// Validate returns every parameter that is outside its range, in a fixed order; none when all is well.
func (p Params) Validate() []Violation {
	var violations []Violation
	within := func(field string, value, low, high float64, lowOpen bool) {
		switch {
		case math.IsNaN(value) || math.IsInf(value, 0):
			violations = append(violations, Violation{field, "must be a finite number"})
		case value < low || value > high || lowOpen && value == low:
			bracket := "["
			if lowOpen {
				bracket = "("
			}
			violations = append(violations, Violation{field, fmt.Sprintf("must be in %s%g, %g], not %g", bracket, low, high, value)})
		}
	}
	whole := func(field string, value, low, high int) {
		if value < low || value > high {
			violations = append(violations, Violation{field, fmt.Sprintf("must be from %d to %d, not %d", low, high, value)})
		}
	}
	within("temperature", p.Temperature, 0, MaxTemperature, false)
	whole("top_k", p.TopK, 0, MaxTopK)
	within("top_p", p.TopP, 0, 1, true)
	within("min_p", p.MinP, 0, 1, false)
	within("typical_p", p.TypicalP, 0, 1, true)
	whole("max_backoff", p.MaxBackoff, 0, AllOrders)
	whole("best_of", p.BestOf, 1, MaxBestOf)
	within("presence_penalty", p.PresencePenalty, -MaxPenalty, MaxPenalty, false)
	within("frequency_penalty", p.FrequencyPenalty, -MaxPenalty, MaxPenalty, false)
	within("repetition_penalty", p.RepetitionPenalty, MinRepetition, MaxRepetition, false)
	whole("penalty_history", p.PenaltyHistory, 0, MaxHistory)
	whole("max_copied", p.MaxCopied, 0, MaxCopiedLimit)
	whole("beam_width", p.BeamWidth, 0, MaxBeamWidth)
	within("length_penalty", p.LengthPenalty, 0, MaxLength, false)
	within("short_penalty", p.ShortPenalty, 0, MaxPenalty, false)
	within("seam_penalty", p.SeamPenalty, 0, MaxPenalty, false)
	within("echo_penalty", p.EchoPenalty, 0, MaxPenalty, false)
	if p.BeamWidth > 0 && p.Temperature == 0 {
		violations = append(violations, Violation{"beam_width", "needs a temperature above 0: at 0 a step leaves one token, and there is nothing to search"})
	}
	whole("no_repeat_ngram", p.NoRepeatNGram, 0, MaxNoRepeat)
	whole("max_tokens", p.MaxTokens, 1, MaxTokensLimit)
	whole("max_sentences", p.MaxSentences, 0, MaxSentences)
	if p.CacheWeight != AutoCacheWeight {
		within("cache_weight", p.CacheWeight, 0, MaxCacheWeight, false)
	}
	if len(p.Stop) > MaxStops {
		violations = append(violations, Violation{"stop", fmt.Sprintf("must hold at most %d texts, not %d", MaxStops, len(p.Stop))})
	}
	for i, stop := range p.Stop {
		if len(stop) == 0 || len(stop) > MaxStopBytes {
			violations = append(violations, Violation{
				fmt.Sprintf("stop[%d]", i),
				fmt.Sprintf("must have from 1 to %d bytes, not %d", MaxStopBytes, len(stop)),
			})
		}
	}
	return violations
}

package main

import (
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/pflag"
)

// decodeFlags are the decode parameters that a profile can hold.
type decodeFlags struct {
	numbers [len(numberFlags)]float64
	counts  [len(countFlags)]uint32
	marks   bool
	exact   bool
}

type numberFlag struct {
	name, usage string
	into        func(*ngramv1.DecodeParameters, *float64)
}

type countFlag struct {
	name, usage string
	into        func(*ngramv1.DecodeParameters, *uint32)
}

var numberFlags = [...]numberFlag{
	{"temperature", "`T` divides the log probabilities, 0 to 10; 0 always takes the likeliest token", func(p *ngramv1.DecodeParameters, v *float64) { p.Temperature = v }},
	{"top-p", "keep the likeliest tokens that hold this `share`, above 0 to 1", func(p *ngramv1.DecodeParameters, v *float64) { p.TopP = v }},
	{"min-p", "drop tokens below this `share` of the likeliest one, 0 to 1", func(p *ngramv1.DecodeParameters, v *float64) { p.MinP = v }},
	{"typical-p", "keep the tokens nearest to the entropy that hold this `share`, above 0 to 1", func(p *ngramv1.DecodeParameters, v *float64) { p.TypicalP = v }},
	{"presence-penalty", "subtract this many `log10` units from a token that was said, -20 to 20", func(p *ngramv1.DecodeParameters, v *float64) { p.PresencePenalty = v }},
	{"frequency-penalty", "subtract this many `log10` units for each time that a token was said, -20 to 20", func(p *ngramv1.DecodeParameters, v *float64) { p.FrequencyPenalty = v }},
	{"repetition-penalty", "multiply the log probability of a token that was said by this `factor`, 0.1 to 10", func(p *ngramv1.DecodeParameters, v *float64) { p.RepetitionPenalty = v }},
	{"length-penalty", "with --beam-width, divide the log probability of a reply by its length to this `power`, 0 to 10", func(p *ngramv1.DecodeParameters, v *float64) { p.LengthPenalty = v }},
	{"short-penalty", "rank a reply of --best-of lower by this many `log10` units for each word missing from five, 0 to 20", func(p *ngramv1.DecodeParameters, v *float64) { p.ShortPenalty = v }},
	{"seam-penalty", "rank it lower by this many `log10` units for each order that its n-grams lack, 0 to 20", func(p *ngramv1.DecodeParameters, v *float64) { p.SeamPenalty = v }},
	{"echo-penalty", "rank it lower by this many `log10` units for each token beyond three said before, 0 to 20", func(p *ngramv1.DecodeParameters, v *float64) { p.EchoPenalty = v }},
	{"cache-weight", "`weight` of the session cache over --history, 0 to 0.9; by the length of the history unless given", func(p *ngramv1.DecodeParameters, v *float64) { p.CacheWeight = v }},
}

var countFlags = [...]countFlag{
	{"top-k", "keep the `k` likeliest tokens; 0 keeps all", func(p *ngramv1.DecodeParameters, v *uint32) { p.TopK = v }},
	{"max-backoff", "keep tokens found at most this many `orders` below the longest context known; 255 keeps all", func(p *ngramv1.DecodeParameters, v *uint32) { p.MaxBackoff = v }},
	{"best-of", "draw this many `replies` and take the best, 1 to 32", func(p *ngramv1.DecodeParameters, v *uint32) { p.BestOf = v }},
	{"beam-width", "search for the likeliest replies instead of drawing them, keeping `N` at every step, at most 32", func(p *ngramv1.DecodeParameters, v *uint32) { p.BeamWidth = v }},
	{"penalty-history", "newest `tokens` of --history that count as said for the penalties", func(p *ngramv1.DecodeParameters, v *uint32) { p.PenaltyHistory = v }},
	{"max-copied", "never say more than `N` consecutive tokens of the training text; 0 has no limit", func(p *ngramv1.DecodeParameters, v *uint32) { p.MaxCopied = v }},
	{"no-repeat-ngram", "never repeat `N` tokens in a row; 0 allows it", func(p *ngramv1.DecodeParameters, v *uint32) { p.NoRepeatNgram = v }},
	{"max-tokens", "say at most `N` tokens, 1 to 4096", func(p *ngramv1.DecodeParameters, v *uint32) { p.MaxTokens = v }},
	{"max-sentences", "say at most `N` sentences; 0 goes on until --max-tokens", func(p *ngramv1.DecodeParameters, v *uint32) { p.MaxSentences = v }},
}

func (d *decodeFlags) register(flags *pflag.FlagSet) {
	for i, f := range numberFlags {
		flags.Float64Var(&d.numbers[i], f.name, 0, f.usage)
	}
	for i, f := range countFlags {
		flags.Uint32Var(&d.counts[i], f.name, 0, f.usage)
	}
	flags.BoolVar(&d.exact, "max-copied-exact", false, "look for what --max-copied refuses in the kept text itself, so that nothing new is refused")
	flags.BoolVar(&d.marks, "balance-marks", false, "keep quotation marks and brackets in pairs")
}

// parameters holds the flags that were given; the rest is left to the profile.
func (d *decodeFlags) parameters(flags *pflag.FlagSet) *ngramv1.DecodeParameters {
	p := &ngramv1.DecodeParameters{}
	for i, f := range numberFlags {
		if flags.Changed(f.name) {
			f.into(p, &d.numbers[i])
		}
	}
	for i, f := range countFlags {
		if flags.Changed(f.name) {
			f.into(p, &d.counts[i])
		}
	}
	if flags.Changed("max-copied-exact") {
		p.MaxCopiedExact = &d.exact
	}
	if flags.Changed("balance-marks") {
		p.BalanceMarks = &d.marks
	}
	return p
}

package server

import (
	"encoding/json"
	"strings"

	"google.golang.org/protobuf/proto"

	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram/decoding"
)

// profile is what a stored profile may set, as JSON. What it leaves out comes from the built-in profile of the same
// name, else from "default".
type profile struct {
	Temperature       *float64 `json:"temperature,omitempty"`
	TopK              *int     `json:"top_k,omitempty"`
	TopP              *float64 `json:"top_p,omitempty"`
	MinP              *float64 `json:"min_p,omitempty"`
	TypicalP          *float64 `json:"typical_p,omitempty"`
	MaxBackoff        *int     `json:"max_backoff,omitempty"`
	BestOf            *int     `json:"best_of,omitempty"`
	PresencePenalty   *float64 `json:"presence_penalty,omitempty"`
	FrequencyPenalty  *float64 `json:"frequency_penalty,omitempty"`
	RepetitionPenalty *float64 `json:"repetition_penalty,omitempty"`
	PenaltyHistory    *int     `json:"penalty_history,omitempty"`
	MaxCopied         *int     `json:"max_copied,omitempty"`
	MaxCopiedExact    *bool    `json:"max_copied_exact,omitempty"`
	BeamWidth         *int     `json:"beam_width,omitempty"`
	LengthPenalty     *float64 `json:"length_penalty,omitempty"`
	ShortPenalty      *float64 `json:"short_penalty,omitempty"`
	SeamPenalty       *float64 `json:"seam_penalty,omitempty"`
	EchoPenalty       *float64 `json:"echo_penalty,omitempty"`
	NoRepeatNGram     *int     `json:"no_repeat_ngram,omitempty"`
	BalanceMarks      *bool    `json:"balance_marks,omitempty"`
	MaxTokens         *int     `json:"max_tokens,omitempty"`
	MaxSentences      *int     `json:"max_sentences,omitempty"`
	CacheWeight       *float64 `json:"cache_weight,omitempty"`
}

// base are the parameters that a profile of that name is laid over.
func base(name string) decoding.Params {
	for _, b := range builtIn {
		if b.name == name {
			return b.params()
		}
	}
	return decoding.DefaultParams()
}

// asProfile is what of a request a profile can hold.
func asProfile(p *ngramv1.DecodeParameters) profile {
	return profile{
		Temperature: p.Temperature, TopK: number(p.TopK), TopP: p.TopP, MinP: p.MinP, TypicalP: p.TypicalP, MaxBackoff: number(p.MaxBackoff),
		BestOf: number(p.BestOf), PresencePenalty: p.PresencePenalty, FrequencyPenalty: p.FrequencyPenalty, RepetitionPenalty: p.RepetitionPenalty,
		PenaltyHistory: number(p.PenaltyHistory), MaxCopied: number(p.MaxCopied), MaxCopiedExact: p.MaxCopiedExact,
		BeamWidth: number(p.BeamWidth), LengthPenalty: p.LengthPenalty,
		ShortPenalty: p.ShortPenalty, SeamPenalty: p.SeamPenalty, EchoPenalty: p.EchoPenalty, NoRepeatNGram: number(p.NoRepeatNgram), BalanceMarks: p.BalanceMarks,
		MaxTokens: number(p.MaxTokens), MaxSentences: number(p.MaxSentences), CacheWeight: p.CacheWeight,
	}
}

// profileOf is a profile that sets everything; the weight of the cache only where it is not chosen by the history.
func profileOf(p decoding.Params) profile {
	all := profile{
		&p.Temperature, &p.TopK, &p.TopP, &p.MinP, &p.TypicalP, &p.MaxBackoff, &p.BestOf, &p.PresencePenalty, &p.FrequencyPenalty,
		&p.RepetitionPenalty, &p.PenaltyHistory, &p.MaxCopied, &p.MaxCopiedExact, &p.BeamWidth, &p.LengthPenalty, &p.ShortPenalty, &p.SeamPenalty,
		&p.EchoPenalty, &p.NoRepeatNGram, &p.BalanceMarks, &p.MaxTokens, &p.MaxSentences, &p.CacheWeight,
	}
	if p.CacheWeight == decoding.AutoCacheWeight {
		all.CacheWeight = nil
	}
	return all
}

// over lays the profile over parameters.
func (p profile) over(params *decoding.Params) {
	set(&params.Temperature, p.Temperature)
	set(&params.TopK, p.TopK)
	set(&params.TopP, p.TopP)
	set(&params.MinP, p.MinP)
	set(&params.TypicalP, p.TypicalP)
	set(&params.MaxBackoff, p.MaxBackoff)
	set(&params.BestOf, p.BestOf)
	set(&params.PresencePenalty, p.PresencePenalty)
	set(&params.FrequencyPenalty, p.FrequencyPenalty)
	set(&params.RepetitionPenalty, p.RepetitionPenalty)
	set(&params.PenaltyHistory, p.PenaltyHistory)
	set(&params.MaxCopied, p.MaxCopied)
	set(&params.MaxCopiedExact, p.MaxCopiedExact)
	set(&params.BeamWidth, p.BeamWidth)
	set(&params.LengthPenalty, p.LengthPenalty)
	set(&params.ShortPenalty, p.ShortPenalty)
	set(&params.SeamPenalty, p.SeamPenalty)
	set(&params.EchoPenalty, p.EchoPenalty)
	set(&params.NoRepeatNGram, p.NoRepeatNGram)
	set(&params.BalanceMarks, p.BalanceMarks)
	set(&params.MaxTokens, p.MaxTokens)
	set(&params.MaxSentences, p.MaxSentences)
	set(&params.CacheWeight, p.CacheWeight)
}

// told describes the profile.
func (p profile) told() *ngramv1.DecodeParameters {
	return &ngramv1.DecodeParameters{
		Temperature: p.Temperature, TopK: unsigned(p.TopK), TopP: p.TopP, MinP: p.MinP, TypicalP: p.TypicalP, MaxBackoff: unsigned(p.MaxBackoff),
		BestOf: unsigned(p.BestOf), PresencePenalty: p.PresencePenalty, FrequencyPenalty: p.FrequencyPenalty, RepetitionPenalty: p.RepetitionPenalty,
		PenaltyHistory: unsigned(p.PenaltyHistory), MaxCopied: unsigned(p.MaxCopied), MaxCopiedExact: p.MaxCopiedExact,
		BeamWidth: unsigned(p.BeamWidth), LengthPenalty: p.LengthPenalty, NoRepeatNgram: unsigned(p.NoRepeatNGram),
		ShortPenalty: p.ShortPenalty, SeamPenalty: p.SeamPenalty, EchoPenalty: p.EchoPenalty,
		BalanceMarks: p.BalanceMarks, MaxTokens: unsigned(p.MaxTokens), MaxSentences: unsigned(p.MaxSentences), CacheWeight: p.CacheWeight,
	}
}

func parseProfile(name, stored string) (profile, error) {
	var p profile
	decoder := json.NewDecoder(strings.NewReader(stored))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return p, errors.Wrap(err, errors.FailedPrecondition, "PROFILE_INVALID",
			"decode profile %q is not valid JSON of known parameters; set it again, or correct its row in tbl_decode_hparams", name)
	}
	params := base(name)
	p.over(&params)
	if violations := params.Validate(); len(violations) > 0 {
		return p, errors.New(errors.FailedPrecondition, "PROFILE_INVALID",
			"%s of decode profile %q %s; set it again, or correct its row in tbl_decode_hparams", violations[0].Field, name, violations[0].Description)
	}
	return p, nil
}

// refuse turns violations into an error that names their fields; nil for none.
func refuse(violations []decoding.Violation, prefix string) error {
	if len(violations) == 0 {
		return nil
	}
	invalid := errors.New(errors.InvalidArgument, "PARAMETERS_INVALID", "parameter %s %s", violations[0].Field, violations[0].Description)
	for _, violation := range violations {
		invalid = invalid.Field(prefix+violation.Field, violation.Description)
	}
	return invalid
}

func set[T any](into, value *T) {
	if value != nil {
		*into = *value
	}
}

func number(value *uint32) *int {
	if value == nil {
		return nil
	}
	n := int(*value)
	return &n
}

func unsigned(value *int) *uint32 {
	if value == nil {
		return nil
	}
	return proto.Uint32(uint32(*value))
}

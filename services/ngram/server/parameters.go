package server

import (
	"context"
	"encoding/json"
	"strings"

	"google.golang.org/protobuf/proto"

	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram/decoding"
)

// Profiles that need not be stored. A stored profile of the same name is laid over them.
const (
	defaultProfile = "default" // replies
	plainProfile   = "plain"   // the model's own distribution
)

// profile is what a stored profile may set, as JSON. What it leaves out comes from the built-in profile of the same
// name, else from "default".
type profile struct {
	Temperature       *float64 `json:"temperature"`
	TopK              *int     `json:"top_k"`
	TopP              *float64 `json:"top_p"`
	MinP              *float64 `json:"min_p"`
	TypicalP          *float64 `json:"typical_p"`
	MaxBackoff        *int     `json:"max_backoff"`
	BestOf            *int     `json:"best_of"`
	PresencePenalty   *float64 `json:"presence_penalty"`
	FrequencyPenalty  *float64 `json:"frequency_penalty"`
	RepetitionPenalty *float64 `json:"repetition_penalty"`
	PenaltyHistory    *int     `json:"penalty_history"`
	MaxCopied         *int     `json:"max_copied"`
	NoRepeatNGram     *int     `json:"no_repeat_ngram"`
	BalanceMarks      *bool    `json:"balance_marks"`
	MaxTokens         *int     `json:"max_tokens"`
	MaxSentences      *int     `json:"max_sentences"`
	CacheWeight       *float64 `json:"cache_weight"`
}

// parameters resolves profile and request to the parameters in force. The seed is the service's when none is given.
func (s *Inference) parameters(ctx context.Context, build opened, request *ngramv1.DecodeParameters) (decoding.Params, error) {
	params, err := build.profile(ctx, request.GetProfile())
	if err != nil {
		return decoding.Params{}, err
	}
	if request == nil {
		request = &ngramv1.DecodeParameters{}
	}
	set(&params.Temperature, request.Temperature)
	setInt(&params.TopK, request.TopK)
	set(&params.TopP, request.TopP)
	set(&params.MinP, request.MinP)
	setInt(&params.MaxBackoff, request.MaxBackoff)
	setInt(&params.BestOf, request.BestOf)
	set(&params.PresencePenalty, request.PresencePenalty)
	set(&params.FrequencyPenalty, request.FrequencyPenalty)
	set(&params.TypicalP, request.TypicalP)
	set(&params.RepetitionPenalty, request.RepetitionPenalty)
	setInt(&params.PenaltyHistory, request.PenaltyHistory)
	setInt(&params.MaxCopied, request.MaxCopied)
	setInt(&params.NoRepeatNGram, request.NoRepeatNgram)
	setInt(&params.MaxTokens, request.MaxTokens)
	setInt(&params.MaxSentences, request.MaxSentences)
	set(&params.CacheWeight, request.CacheWeight)
	params.Stop = request.GetStop()
	if request.Seed != nil {
		params.Seed = request.GetSeed()
	} else {
		params.Seed = s.seed()
	}
	if request.CacheWeight != nil && request.GetCacheWeight() == decoding.AutoCacheWeight {
		params.CacheWeight = -2 // the request cannot ask for "automatic" by its private number
	}
	violations := params.Validate()
	if len(violations) == 0 {
		return params, nil
	}
	invalid := errors.New(errors.InvalidArgument, "PARAMETERS_INVALID", "parameter %s %s", violations[0].Field, violations[0].Description)
	for _, violation := range violations {
		invalid = invalid.Field("parameters."+violation.Field, violation.Description)
	}
	return decoding.Params{}, invalid
}

// profile returns the parameters of a profile by name; "" means "default".
func (o opened) profile(ctx context.Context, name string) (decoding.Params, error) {
	if name == "" {
		name = defaultProfile
	}
	params := decoding.DefaultParams()
	if name == plainProfile {
		params = decoding.PlainParams()
	}
	stored, found, err := o.Profile(ctx, name)
	if err != nil {
		return decoding.Params{}, err
	}
	if !found {
		if name != defaultProfile && name != plainProfile {
			return decoding.Params{}, errors.New(errors.NotFound, "PROFILE_NOT_FOUND",
				"there is no decode profile %q; use %q or %q, or store it in tbl_decode_hparams", name, defaultProfile, plainProfile).
				Field("parameters.profile", "must be a stored profile")
		}
		return params, nil
	}
	var p profile
	decoder := json.NewDecoder(strings.NewReader(stored))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return decoding.Params{}, errors.Wrap(err, errors.FailedPrecondition, "PROFILE_INVALID",
			"decode profile %q is not valid JSON of known parameters; correct its row in tbl_decode_hparams", name)
	}
	set(&params.Temperature, p.Temperature)
	set(&params.TopK, p.TopK)
	set(&params.TopP, p.TopP)
	set(&params.MinP, p.MinP)
	set(&params.MaxBackoff, p.MaxBackoff)
	set(&params.BestOf, p.BestOf)
	set(&params.PresencePenalty, p.PresencePenalty)
	set(&params.FrequencyPenalty, p.FrequencyPenalty)
	set(&params.TypicalP, p.TypicalP)
	set(&params.RepetitionPenalty, p.RepetitionPenalty)
	set(&params.PenaltyHistory, p.PenaltyHistory)
	set(&params.MaxCopied, p.MaxCopied)
	set(&params.NoRepeatNGram, p.NoRepeatNGram)
	set(&params.BalanceMarks, p.BalanceMarks)
	set(&params.MaxTokens, p.MaxTokens)
	set(&params.MaxSentences, p.MaxSentences)
	set(&params.CacheWeight, p.CacheWeight)
	if violations := params.Validate(); len(violations) > 0 {
		return decoding.Params{}, errors.New(errors.FailedPrecondition, "PROFILE_INVALID",
			"%s of decode profile %q %s; correct its row in tbl_decode_hparams", violations[0].Field, name, violations[0].Description)
	}
	return params, nil
}

func set[T any](into, value *T) {
	if value != nil {
		*into = *value
	}
}

func setInt(into *int, value *uint32) {
	if value != nil {
		*into = int(*value)
	}
}

// inForce tells a caller every parameter of a generation.
func inForce(params decoding.Params, cacheWeight float64, request *ngramv1.DecodeParameters, bans []string) *ngramv1.DecodeParameters {
	name := request.GetProfile()
	if name == "" {
		name = defaultProfile
	}
	return &ngramv1.DecodeParameters{
		Profile:           name,
		Temperature:       proto.Float64(params.Temperature),
		TopK:              proto.Uint32(uint32(params.TopK)),
		TopP:              proto.Float64(params.TopP),
		MinP:              proto.Float64(params.MinP),
		PresencePenalty:   proto.Float64(params.PresencePenalty),
		FrequencyPenalty:  proto.Float64(params.FrequencyPenalty),
		NoRepeatNgram:     proto.Uint32(uint32(params.NoRepeatNGram)),
		MaxTokens:         proto.Uint32(uint32(params.MaxTokens)),
		MaxSentences:      proto.Uint32(uint32(params.MaxSentences)),
		Seed:              proto.Uint64(params.Seed),
		Stop:              params.Stop,
		Bans:              bans,
		Biases:            request.GetBiases(),
		CacheWeight:       proto.Float64(cacheWeight),
		MaxBackoff:        proto.Uint32(uint32(params.MaxBackoff)),
		BestOf:            proto.Uint32(uint32(params.BestOf)),
		TypicalP:          proto.Float64(params.TypicalP),
		RepetitionPenalty: proto.Float64(params.RepetitionPenalty),
		PenaltyHistory:    proto.Uint32(uint32(params.PenaltyHistory)),
		MaxCopied:         proto.Uint32(uint32(params.MaxCopied)),
		Required:          request.GetRequired(),
		Extension:         request.GetExtension(),
	}
}

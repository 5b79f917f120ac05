package edge

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"slices"
	"strconv"

	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

type rawJSON = json.RawMessage

const (
	// mostTokens and mostChoices are what level 1 and the gateway take; more tokens than that are never drawn, so that asking for
	// more is asking for as many.
	mostTokens  = 4096
	mostChoices = 16
	// leastTopP stands for a top_p of 0: the likeliest token alone.
	leastTopP = 1e-9
	// mostBiases is DecodeParameters.biases, and strongest SequenceBias.strength_log10.
	mostBiases = 64
	strongest  = 20
)

// sampling is what the two doors that generate have in common.
type sampling struct {
	model       string
	temperature *float64
	topP        *float64
	presence    *float64
	frequency   *float64
	seed        *int64
	n           *int64
	maxTokens   *int64
	stop        []string
	biases      []*ngramv1.SequenceBias
	bans        []uint32
	stream      bool
	usage       bool
	user        string
}

// table reads them, and what OpenAI's API knows that changes nothing here.
func (s *sampling) table() parameters {
	return parameters{
		"model":             text(&s.model, nameBytes),
		"temperature":       number(&s.temperature, 0, 2),
		"top_p":             number(&s.topP, 0, 1),
		"presence_penalty":  number(&s.presence, -2, 2),
		"frequency_penalty": number(&s.frequency, -2, 2),
		"seed":              whole(&s.seed, math.MinInt64, math.MaxInt64),
		"n":                 whole(&s.n, 1, mostChoices),
		"max_tokens":        whole(&s.maxTokens, 1, math.MaxInt64),
		"stop":              oneOrMore(&s.stop, 4, 256),
		"logit_bias":        s.readBiases,
		"stream":            flag(&s.stream),
		"user":              text(&s.user, 256),
		"stream_options": func(name string, raw rawJSON) error {
			return parameters{"include_usage": flag(&s.usage), "include_obfuscation": ignored}.read(name+".", raw)
		},
	}
}

// readBiases reads logit_bias: ids of tokens with what is added to the natural logarithm of their weight.
func (s *sampling) readBiases(name string, raw rawJSON) error {
	var biases map[string]float64
	if err := json.Unmarshal(raw, &biases); err != nil {
		return wrongType(name, "an object of ids of tokens and numbers", raw)
	}
	if len(biases) > mostBiases {
		return invalid("ARRAY_ABOVE_MAX_LENGTH", name, "Invalid '%s': at most %d tokens are possible, but there are %d.", name, mostBiases, len(biases))
	}
	for id, bias := range biases {
		token, err := strconv.ParseUint(id, 10, 32)
		if err != nil || token == 0 {
			return invalid("INVALID_VALUE", name, "Invalid '%s': '%s' is no id of a token; /v1/tokenize tells them.", name, id)
		}
		if bias < -100 || bias > 100 {
			return outside(name+"."+id, "a number", -100.0, 100.0, strconv.FormatFloat(bias, 'g', -1, 64))
		}
		number := uint32(token)
		switch bias {
		case 0: // a strength of 0 means another one
			continue
		case -100: // OpenAI's API: "should result in a ban"
			s.bans = append(s.bans, number)
			continue
		}
		s.biases = append(s.biases, &ngramv1.SequenceBias{TokenId: &number, StrengthLog10: min(max(bias/math.Ln10, -strongest), strongest)})
	}
	slices.Sort(s.bans)
	slices.SortFunc(s.biases, func(a, b *ngramv1.SequenceBias) int { return cmp.Compare(a.GetTokenId(), b.GetTokenId()) })
	return nil
}

// choices is how many answers are asked for.
func (s *sampling) choices() int {
	if s.n == nil {
		return 1
	}
	return int(*s.n)
}

// parameters are those of level 1. OpenAI's penalties are in units of the natural logarithm, those of level 1 of base 10.
func (s *sampling) parameters() *ngramv1.DecodeParameters {
	p := &ngramv1.DecodeParameters{
		Temperature: s.temperature, TopP: s.topP, Stop: s.stop, Biases: s.biases, BanTokens: s.bans,
		PresencePenalty: inLog10(s.presence), FrequencyPenalty: inLog10(s.frequency),
	}
	if p.TopP != nil {
		least := max(*p.TopP, leastTopP)
		p.TopP = &least
	}
	if s.seed != nil {
		seed := uint64(*s.seed)
		p.Seed = &seed
	}
	if s.maxTokens != nil {
		tokens := uint32(min(*s.maxTokens, mostTokens))
		p.MaxTokens = &tokens
	}
	return p
}

func inLog10(natural *float64) *float64 {
	if natural == nil {
		return nil
	}
	out := *natural / math.Ln10
	return &out
}

// within bounds the time of a request.
func (e *Edge) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, e.options.Timeout)
}

// finishName is why a text ended, as OpenAI's API has it. A text that broke off is as long as it could be.
func finishName(reason ngramv1.FinishReason) string {
	switch reason {
	case ngramv1.FinishReason_FINISH_REASON_LENGTH, ngramv1.FinishReason_FINISH_REASON_ERROR, ngramv1.FinishReason_FINISH_REASON_CANCELLED:
		return "length"
	}
	return "stop"
}

// fingerprint names the build that answered: the same build and seed give the same answer.
func fingerprint(build uint32) *string {
	if build == 0 {
		return nil
	}
	name := "build-" + strconv.FormatUint(uint64(build), 10)
	return &name
}

package server

import (
	"fmt"
	"slices"
	"strings"

	"dbslm/pkg/errors"
	"dbslm/pkg/text"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/decoding"
	"dbslm/services/ngram/lookup"
)

// defaultStrength is that of a bias whose strength is 0, in log10 units.
const defaultStrength = 2

func indexed(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }

// parameterInvalid refuses a decode parameter. field is spelt as in the protos.
func parameterInvalid(field, format string, args ...any) error {
	description := fmt.Sprintf(format, args...)
	return errors.New(errors.InvalidArgument, "PARAMETERS_INVALID", "parameter %s %s", field, description).
		Field("parameters."+field, description)
}

// cut returns the tokens of a sequence, at least one.
func (o opened) cut(written, field string) ([]text.Token, error) {
	sentences, err := o.split(written, "parameters."+field)
	if err != nil {
		return nil, err
	}
	var tokens []text.Token
	for _, sentence := range sentences {
		tokens = append(tokens, sentence.Tokens...)
	}
	if len(tokens) == 0 {
		return nil, parameterInvalid(field, "holds no token, only spaces or marks that the model drops; give it a word or leave it out")
	}
	return tokens, nil
}

// said returns the ids of a sequence that the model may say, nil when it holds a word that it cannot say. A model of
// tokens that were cut elsewhere is also asked for the words of running text.
func (o opened) said(written, field string) ([]uint32, error) {
	tokens, err := o.cut(written, field)
	if err != nil {
		return nil, err
	}
	ids := o.ids(nil, text.Sentence{Tokens: tokens})
	if !slices.Contains(ids, lookup.Unknown) || o.Settings.Tokenizer != ngram.TokenizerWhitespace {
		return known(ids), nil
	}
	words, err := o.words()
	if err != nil {
		return nil, err
	}
	sentences, err := words.Split(written)
	if err != nil {
		return nil, parameterInvalid(field, "cannot be cut into words: %s", errors.Public(err))
	}
	ids = ids[:0]
	for _, sentence := range sentences {
		ids = o.ids(ids, sentence)
	}
	return known(ids), nil
}

func known(ids []uint32) []uint32 {
	if len(ids) == 0 || slices.Contains(ids, lookup.Unknown) { // a text without a word has tokens only as it was cut
		return nil
	}
	return ids
}

// bias is where a sequence of a setup comes from.
type bias struct {
	index int // in DecodeParameters.biases; -1 for a ban
	*ngramv1.SequenceBias
}

// steer cuts bans, biases and required sequences into tokens. What can never apply is left out.
func (o *opened) steer(setup *decoding.Setup, request *ngramv1.GenerateRequest, stored []string) error {
	parameters := request.GetParameters()
	if err := o.extend(parameters); err != nil {
		return err
	}
	var bans [][]uint32
	for i, ban := range parameters.GetBans() {
		tokens, err := o.said(ban, indexed("bans", i))
		if err != nil {
			return err
		}
		bans = append(bans, tokens)
	}
	for _, ban := range stored {
		if tokens, err := o.said(ban, "bans"); err == nil { // an operator's row is no mistake of this caller
			bans = append(bans, tokens)
		}
	}
	for i, id := range parameters.GetBanTokens() {
		if err := o.sayable(id, indexed("ban_tokens", i)); err != nil {
			return err
		}
		bans = append(bans, []uint32{id})
	}
	bans = slices.DeleteFunc(bans, func(ban []uint32) bool { return len(ban) == 0 })
	for _, ban := range bans {
		setup.Sequences = append(setup.Sequences, decoding.Sequence{Tokens: ban, Ban: true})
		o.biases = append(o.biases, bias{index: -1})
	}
	recent := o.recentTokens(request)
	for i, asked := range parameters.GetBiases() {
		sequence, applies, err := o.biased(asked, indexed("biases", i), recent)
		if err != nil {
			return err
		}
		if applies && (sequence.Strength < 0 || !holdsAny(sequence.Tokens, bans)) {
			setup.Sequences = append(setup.Sequences, sequence)
			o.biases = append(o.biases, bias{index: i, SequenceBias: asked})
		}
	}
	return o.require(setup, parameters.GetRequired(), bans)
}

// biased turns a bias into a sequence; applies is false for one that can have no effect.
func (o *opened) biased(bias *ngramv1.SequenceBias, field string, recent func() [][]string) (sequence decoding.Sequence, applies bool, err error) {
	strength := bias.GetStrengthLog10()
	switch {
	case !(strength >= -decoding.MaxStrength && strength <= decoding.MaxStrength):
		return sequence, false, parameterInvalid(field+".strength_log10", "must be in [-%d, %d], not %g", decoding.MaxStrength, decoding.MaxStrength, strength)
	case bias.GetInsteadOf() != "" && strength < 0:
		return sequence, false, parameterInvalid(field+".strength_log10", "must not be negative where the sequence is written instead of another")
	case bias.GetInsteadOf() != "" && bias.GetAfter() != "":
		return sequence, false, parameterInvalid(field+".after", "cannot be given together with instead_of")
	case strength == 0:
		strength = defaultStrength
	}
	sequence.Strength = strength
	if known, err := o.tokensOf(&sequence, bias, field); err != nil || !known {
		return sequence, false, err
	}
	if bias.GetPattern() == "" {
		return sequence, true, nil
	}
	pattern, err := o.cut(bias.GetPattern(), field+".pattern")
	if err != nil {
		return sequence, false, err
	}
	for _, tokens := range recent() {
		if holdsTokens(tokens, pattern) {
			return sequence, true, nil
		}
	}
	sequence.Pattern, err = o.said(bias.GetPattern(), field+".pattern")
	return sequence, sequence.Pattern != nil, err
}

// tokensOf sets the tokens of a bias; known is false when the model cannot say them.
func (o *opened) tokensOf(sequence *decoding.Sequence, bias *ngramv1.SequenceBias, field string) (known bool, err error) {
	if bias.TokenId != nil {
		sequence.Tokens, err = o.one(bias, field)
		return true, err
	}
	written, err := o.cut(bias.GetText(), field+".text")
	if err != nil {
		return false, err
	}
	if bias.GetInsteadOf() != "" {
		if sequence.InsteadOf, err = o.said(bias.GetInsteadOf(), field+".instead_of"); err != nil || sequence.InsteadOf == nil {
			return false, err
		}
		sequence.Tokens = o.literal(written, bias.GetSource())
	} else if sequence.Tokens, err = o.said(bias.GetText(), field+".text"); err != nil || sequence.Tokens == nil {
		return false, err
	}
	if bias.GetAfter() == "" {
		return true, nil
	}
	lead, err := o.said(bias.GetAfter(), field+".after")
	if err != nil || lead == nil {
		return false, err
	}
	sequence.Lead, sequence.Tokens = len(lead), slices.Concat(lead, sequence.Tokens)
	return true, nil
}

// one is the token that a bias names by its id.
func (o *opened) one(bias *ngramv1.SequenceBias, field string) ([]uint32, error) {
	if bias.GetText() != "" || bias.GetAfter() != "" || bias.GetInsteadOf() != "" {
		return nil, parameterInvalid(field+".token_id", "cannot be given together with text, after or instead_of")
	}
	return []uint32{bias.GetTokenId()}, o.sayable(bias.GetTokenId(), field+".token_id")
}

// sayable refuses an id that no reply can say.
func (o *opened) sayable(id uint32, field string) error {
	if id <= lookup.End || int(id) >= o.Unigrams.Bound() || o.Unigrams.Mass(id) == 0 {
		return parameterInvalid(field, "must be the id of a token that the build can say, not %d; Tokenize tells the ids", id)
	}
	return nil
}

// require sets the sequences that must be said, and refuses what contradicts them.
func (o opened) require(setup *decoding.Setup, sequences []string, bans [][]uint32) error {
	need := 0
	for i, written := range sequences {
		field := indexed("required", i)
		tokens, err := o.said(written, field)
		if err != nil {
			return err
		}
		if holdsAny(tokens, bans) {
			return parameterInvalid(field, "holds a sequence that is banned; lift the ban, or do not require it")
		}
		for _, stop := range setup.Params.Stop {
			if strings.Contains(written, stop) {
				return parameterInvalid(field, "holds the stop sequence %q, at which the reply would end before it is said", stop)
			}
		}
		need += len(tokens)
		setup.Required = append(setup.Required, tokens)
	}
	if need > setup.Params.MaxTokens {
		return parameterInvalid("required", "has %d tokens together, more than max_tokens, %d", need, setup.Params.MaxTokens)
	}
	return nil
}

// recentTokens returns the tokens of what was said before the reply, text by text, cut when they are first asked for. What
// cannot be cut is refused elsewhere.
func (o opened) recentTokens(request *ngramv1.GenerateRequest) func() [][]string {
	var texts [][]string
	done := false
	return func() [][]string {
		if done {
			return texts
		}
		done = true
		for _, written := range append(slices.Clone(request.GetHistory()), request.GetPrompt(), request.GetReplySoFar()) {
			sentences, err := o.tokenizer.Split(written)
			if err != nil {
				continue
			}
			var tokens []string
			for _, sentence := range sentences {
				tokens = append(tokens, sentence.Texts()...)
			}
			texts = append(texts, tokens)
		}
		return texts
	}
}

func holdsTokens(tokens []string, pattern []text.Token) bool {
	for begin := 0; begin+len(pattern) <= len(tokens); begin++ {
		if matches(tokens[begin:], pattern) {
			return true
		}
	}
	return false
}

func matches(tokens []string, pattern []text.Token) bool {
	for i, token := range pattern {
		if tokens[i] != string(token.Text) {
			return false
		}
	}
	return true
}

// holdsAny reports whether the tokens hold one of the sequences.
func holdsAny(tokens []uint32, sequences [][]uint32) bool {
	for _, sequence := range sequences {
		for end := len(sequence); end <= len(tokens); end++ {
			if slices.Equal(tokens[end-len(sequence):end], sequence) {
				return true
			}
		}
	}
	return false
}

package main

import (
	"context"
	"fmt"
	"slices"

	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"dbslm/pkg/text"
	"dbslm/services/ngram"
)

// settingsFor are the settings under which texts will be counted: the model's own, unless it is new or empties.
func settingsFor(header *gatewayv1.TrainHeader, model *ngramv1.Model, reset bool) *ngramv1.ModelSettings {
	asked := header.Ingest.Settings
	if model == nil {
		return asked
	}
	settings := &ngramv1.ModelSettings{
		Tokenizer: model.Settings.GetTokenizer(), Normalization: model.Settings.GetNormalization(), UnkPolicy: model.Settings.GetUnkPolicy(),
	}
	if reset && asked.Tokenizer != 0 {
		settings.Tokenizer = asked.Tokenizer
	}
	if reset && asked.Normalization != 0 {
		settings.Normalization = asked.Normalization
	}
	if reset && asked.UnkPolicy != 0 {
		settings.UnkPolicy = asked.UnkPolicy
	}
	return settings
}

// orderFor is the order of the model that is counted.
func orderFor(header *gatewayv1.TrainHeader, model *ngramv1.Model, reset bool) int {
	asked := int(header.Ingest.Settings.GetOrder())
	switch {
	case asked > 0 && (model == nil || reset):
		return asked
	case model == nil:
		return ngram.DefaultOrder
	}
	return int(model.Settings.GetOrder())
}

// checkTokens looks for tokens that the service would refuse, so that a text which cannot be trained is found
// before a model is made or emptied for it. Only the whitespace tokeniser yields such tokens.
func checkTokens(ctx context.Context, inputs []input, settings *ngramv1.ModelSettings, encoding string) error {
	if settings.Tokenizer != ngramv1.TokenizerKind_TOKENIZER_KIND_WHITESPACE {
		return nil
	}
	normalization := text.NFC
	if settings.Normalization != 0 {
		normalization = text.Normalization(nameOf(settings.Normalization, normalizations))
	}
	tokenizer, err := text.NewTokenizer(text.Whitespace, "", normalization)
	if err != nil {
		return err
	}
	for _, in := range inputs {
		if err := in.checkTokens(ctx, encoding, normalization, tokenizer, settings.UnkPolicy != ngramv1.UnkPolicy_UNK_POLICY_LITERAL); err != nil {
			return err
		}
	}
	return nil
}

var marks = []string{ngram.ControlToken(ngram.Unknown), ngram.ControlToken(ngram.SentenceStart), ngram.ControlToken(ngram.SentenceEnd)}

func (in input) checkTokens(ctx context.Context, encoding string, n text.Normalization, tokenizer text.Tokenizer, reserved bool) error {
	r, err := in.open(encoding)
	if err != nil {
		return err
	}
	defer r.Close()
	place := func(offset int64) string {
		return fmt.Sprintf("byte offset %d", offset) + in.line(encoding, offset, func(said string) int64 {
			normal, _ := text.Normalize(n, []byte(said)) // it was read before
			return int64(len(normal))
		})
	}
	return tokenizer.Sentences(text.NewReader(n, r), func(sentence text.Sentence) error {
		for _, token := range sentence.Tokens {
			if len(token.Text) > ngram.MaxTokenBytes {
				return usagef("%s has a token of %d bytes at %s; the longest that can be trained has %d. "+
					"Is the text binary, or does it need another tokeniser (--tokenizer words)?", in.label, len(token.Text), place(token.Offset), ngram.MaxTokenBytes)
			}
			if reserved && token.Text[0] == '<' && slices.Contains(marks, string(token.Text)) {
				return usagef("%s has the token %s at %s, which is the model's own mark; remove it, "+
					"or train a model that takes it as an ordinary word (--unk literal)", in.label, token.Text, place(token.Offset))
			}
		}
		return ctx.Err()
	})
}

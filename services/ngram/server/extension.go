package server

import (
	"slices"

	"dbslm/pkg/text"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram/decoding"
	"dbslm/services/ngram/lookup"
)

// maxExtension bounds the tokens of a request's extension vocabulary.
const maxExtension = 4096

// extension is the vocabulary that a request adds to a build: ids above those of the build. It lives as long as the request.
type extension struct {
	own   int               // token ids of the build
	ids   map[string]uint32 // by what the tokeniser cuts
	words []extensionWord   // by id, from own on
}

type extensionWord struct {
	text   string // as it is written
	source string
	decoding.Extension
}

// add gives a token an id above the build's, unless it has one. It is written as it stands in the request.
func (e *extension) add(token, written []byte, source string, kind decoding.Extension) uint32 {
	if id, known := e.ids[string(token)]; known {
		return id
	}
	id := uint32(e.own + len(e.words))
	e.ids[string(token)] = id
	e.words = append(e.words, extensionWord{text: string(written), source: source, Extension: kind})
	return id
}

// Token returns the id of a token's bytes in the build or in the extension vocabulary of the request; lookup.Unknown when
// neither has it.
func (o opened) Token(token []byte) uint32 {
	id := o.View.Token(token)
	if id == lookup.Unknown && o.extension != nil {
		id = o.extension.ids[string(token)]
	}
	return id
}

// spell is the text of a token of the build or of the extension vocabulary.
func (o opened) spell(id uint32) string {
	if o.extension != nil && int(id) >= o.extension.own {
		return o.extension.words[int(id)-o.extension.own].text
	}
	return o.Vocabulary.Text(id)
}

// seen is the token that the model sees where the given one was said.
func (o opened) seen(id uint32) uint32 {
	if o.extension != nil && int(id) >= o.extension.own {
		return o.extension.words[int(id)-o.extension.own].Like
	}
	return id
}

// extend begins the extension vocabulary of the request with the words that it names and those that its preferred and
// required sequences need.
func (o *opened) extend(parameters *ngramv1.DecodeParameters) error {
	if len(parameters.GetExtension()) == 0 && len(parameters.GetBiases()) == 0 && len(parameters.GetRequired()) == 0 {
		return nil
	}
	o.extension = &extension{own: o.Unigrams.Bound(), ids: map[string]uint32{}}
	for i, word := range parameters.GetExtension() {
		field := indexed("extension", i)
		like := lookup.Unknown
		if word.GetLike() != "" {
			tokens, err := o.cut(word.GetLike(), field+".like")
			if err != nil {
				return err
			}
			if like = o.View.Token(tokens[0].Text); len(tokens) != 1 || like == lookup.Unknown {
				return parameterInvalid(field+".like", "must be one word that the model knows")
			}
		}
		if err := o.extendBy(word.GetText(), field+".text", word.GetSource(), decoding.Extension{Like: like, Free: true}); err != nil {
			return err
		}
	}
	for i, bias := range parameters.GetBiases() {
		if bias.GetStrengthLog10() < 0 || bias.GetInsteadOf() != "" || bias.TokenId != nil {
			continue // what is written instead of another sequence, or known by its id, needs no probability
		}
		if err := o.extendBy(bias.GetText(), indexed("biases", i)+".text", bias.GetSource(), decoding.Extension{}); err != nil {
			return err
		}
	}
	for i, sequence := range parameters.GetRequired() {
		if err := o.extendBy(sequence, indexed("required", i), "", decoding.Extension{}); err != nil {
			return err
		}
	}
	return nil
}

func (o *opened) extendBy(written, field, source string, kind decoding.Extension) error {
	tokens, err := o.cut(written, field)
	if err != nil {
		return err
	}
	for _, token := range tokens {
		if o.View.Token(token.Text) == lookup.Unknown {
			o.extension.add(token.Text, token.Written(), source, kind)
		}
	}
	if len(o.extension.words) > maxExtension {
		return parameterInvalid(field, "brings the words that the model does not know to more than %d", maxExtension)
	}
	return nil
}

// literal returns tokens that are written exactly as they stand in the request: where the model would write one in another
// way, a token of the extension vocabulary takes its place.
func (o *opened) literal(tokens []text.Token, source string) []uint32 {
	ids := make([]uint32, len(tokens))
	for i, token := range tokens {
		ids[i] = o.Token(token.Text)
		form := o.Form(string(token.Text))
		if form == "" {
			form = string(token.Text)
		}
		if own := ids[i] != lookup.Unknown && int(ids[i]) < o.extension.own; own && form == string(token.Written()) {
			continue
		}
		ids[i] = o.extension.add(slices.Concat([]byte{0}, token.Written()), token.Written(), source, decoding.Extension{Like: ids[i]})
		if like := o.extension.words[int(ids[i])-o.extension.own].Like; int(like) >= o.extension.own {
			o.extension.words[int(ids[i])-o.extension.own].Like = lookup.Unknown
		}
	}
	return ids
}

// extended puts the extension vocabulary into the setup of a reply.
func (o opened) extended(setup *decoding.Setup) {
	if o.extension == nil {
		return
	}
	setup.Text = o.spell
	setup.Unigrams = o.Unigrams.Extend(len(o.extension.words))
	for _, word := range o.extension.words {
		setup.Extension = append(setup.Extension, word.Extension)
	}
}

// told lists the extension vocabulary for the header.
func (e *extension) told() []*ngramv1.ExtensionToken {
	if e == nil {
		return nil
	}
	var tokens []*ngramv1.ExtensionToken
	for i, word := range e.words {
		tokens = append(tokens, &ngramv1.ExtensionToken{
			Id: uint32(e.own + i), Text: describe(0, word.text).GetText(), Source: word.source, LikeId: word.Like,
		})
	}
	return tokens
}

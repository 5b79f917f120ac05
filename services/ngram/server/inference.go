package server

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"

	"dbslm/pkg/errors"
	"dbslm/pkg/text"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/store"
)

// Inference serves dbslm.ngram.v1.InferenceService from a reader of builds.
type Inference struct {
	ngramv1.UnimplementedInferenceServiceServer
	reader *store.Reader
	log    *slog.Logger
	now    func() time.Time
	seed   func() uint64 // for a request that names none
	flush  flushTimer
}

// NewInference returns the service. logger may be nil.
func NewInference(reader *store.Reader, logger *slog.Logger) *Inference {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Inference{reader: reader, log: logger, now: time.Now, seed: rand.Uint64}
}

// Register adds the service to a server.
func (s *Inference) Register(registrar grpc.ServiceRegistrar) {
	ngramv1.RegisterInferenceServiceServer(registrar, s)
}

// target is what every request of the service names.
type target interface {
	GetTenant() string
	GetModel() string
	GetBuildId() uint32
}

// opened is a build with the tokeniser of its model.
type opened struct {
	*store.View
	tokenizer text.Tokenizer
	extension *extension // of the request; nil for none
	biases    []bias     // by sequence of the request's setup
}

func (s *Inference) open(ctx context.Context, request target) (opened, error) {
	if err := modelNamed(request); err != nil {
		return opened{}, err
	}
	view, err := s.reader.Open(ctx, tenantOf(request.GetTenant()), request.GetModel(), ngram.BuildID(request.GetBuildId()))
	if err != nil {
		return opened{}, err
	}
	return cutting(view)
}

// openSteered is open with what is stored about how to decode.
func (s *Inference) openSteered(ctx context.Context, request target, profile string) (opened, store.Steering, error) {
	if err := modelNamed(request); err != nil {
		return opened{}, store.Steering{}, err
	}
	view, steering, err := s.reader.OpenSteered(ctx, tenantOf(request.GetTenant()), request.GetModel(), ngram.BuildID(request.GetBuildId()), profile)
	if err != nil {
		return opened{}, steering, err
	}
	build, err := cutting(view)
	return build, steering, err
}

func modelNamed(request target) error {
	if request.GetModel() == "" {
		return errors.New(errors.InvalidArgument, "MODEL_MISSING", "the request names no model").Field("model", "must name a model")
	}
	return nil
}

// cutting adds the tokeniser to a build.
func cutting(view *store.View) (opened, error) {
	tokenizer, err := text.NewTokenizer(string(view.Settings.Tokenizer), view.Settings.TokenizerParameters, text.Normalization(view.Settings.Normalization))
	if err != nil {
		return opened{}, errors.Wrap(err, errors.DataLoss, "MODEL_SETTINGS_DAMAGED",
			"model %q is stored with a tokeniser that this program does not know; use the version that trained it", view.Build.Name)
	}
	return opened{View: view, tokenizer: tokenizer}, nil
}

// split cuts text into sentences of the model's tokens. field names the text in an error.
func (o opened) split(s, field string) ([]text.Sentence, error) {
	sentences, err := o.tokenizer.Split(s)
	if err != nil {
		return nil, errors.Wrap(err, errors.InvalidArgument, "INVALID_TEXT", "%s cannot be cut into tokens: %s", field, errors.Public(err)).
			Field(field, errors.Public(err))
	}
	return sentences, nil
}

// ids returns the ids of a sentence's tokens, appended to dst.
func (o opened) ids(dst []uint32, sentence text.Sentence) []uint32 {
	for _, token := range sentence.Tokens {
		dst = append(dst, o.Token(token.Text))
	}
	return dst
}

// lastSentence returns <s> and the tokens of the last sentence of the text.
func (o opened) lastSentence(s, field string) ([]uint32, error) {
	sentences, err := o.split(s, field)
	if err != nil {
		return nil, err
	}
	tokens := []uint32{lookup.Start}
	if len(sentences) > 0 {
		tokens = o.ids(tokens, sentences[len(sentences)-1])
	}
	return tokens, nil
}

// token describes a token of the vocabulary.
func (o opened) token(id uint32) *ngramv1.Token { return describe(id, o.spell(id)) }

// describe returns a token as the protos want it: text always valid, the bytes beside it where it is not exact.
func describe(id uint32, written string) *ngramv1.Token {
	token := &ngramv1.Token{}
	describeIn(token, id, written)
	return token
}

// describeIn is describe for a token whose place is made.
func describeIn(token *ngramv1.Token, id uint32, written string) {
	token.Id, token.Text = id, written
	if !utf8.ValidString(written) {
		token.Text, token.Raw = strings.ToValidUTF8(written, "\uFFFD"), []byte(written)
	}
}

package server

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"dbslm/pkg/errors"
	"dbslm/pkg/text"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/decoding"
	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/store"
)

// maxHistoryBytes bounds the history texts together.
const maxHistoryBytes = 1 << 20

// Generate implements ngramv1.InferenceServiceServer. The decode loop runs here: every step reads the contexts of all
// orders, and of all candidates, in one round trip at most.
func (s *Inference) Generate(request *ngramv1.GenerateRequest, stream ngramv1.InferenceService_GenerateServer) error {
	ctx := stream.Context()
	profile := cmp.Or(request.GetParameters().GetProfile(), defaultProfile)
	build, stored, err := s.openSteered(ctx, request, profile)
	if err != nil {
		return err
	}
	setup, header, err := s.setup(ctx, &build, request, profile, stored)
	if err != nil {
		return err
	}
	explainer, err := build.explainer(ctx, request.GetExplain())
	if err != nil {
		return err
	}
	if err := stream.Send(&ngramv1.GenerateResponse{Event: &ngramv1.GenerateResponse_Header{Header: header}}); err != nil {
		return err
	}
	sender := &chunkSender{build: build, stream: stream, explainer: explainer, at: newFollower(build.seen, setup.Prompt, setup.Order)}
	steps := build.Steps()
	defer steps.Done()
	replies := begin(setup)
	drawn, alone := replies.(*decoding.Panel)
	alone = alone && setup.Params.BestOf == 1
	for contexts := replies.Contexts(); len(contexts) > 0; contexts = replies.Contexts() {
		if err := ctx.Err(); err != nil {
			return err
		}
		chains, err := steps.Read(ctx, contexts)
		if err != nil {
			return err
		}
		replies.Step(chains)
		if alone {
			if err := sender.push(ctx, drawn.Latest()); err != nil {
				return err
			}
		}
	}
	if err := sender.flush(ctx); err != nil {
		return err
	}
	ranked := replies.Ranked()
	if !alone {
		if err := sender.send(ctx, ranked[0].Events...); err != nil {
			return err
		}
	}
	finish, err := build.finish(ranked[0])
	if err != nil {
		return err
	}
	finish.Candidates = candidates(ranked, int(request.GetParameters().GetN()))
	if finish.Explained, err = explainer.finish(ctx); err != nil {
		return err
	}
	if err := build.Verify(ctx); err != nil {
		return err
	}
	if err := stream.Send(&ngramv1.GenerateResponse{Event: &ngramv1.GenerateResponse_Finish{Finish: finish}}); err != nil {
		return err
	}
	steps.Done()
	s.flushUses(ctx)
	return nil
}

// replies are what one request draws or searches for, side by side.
type replies interface {
	Contexts() [][]uint32
	Step(chains [][]*lookup.Context)
	Ranked() []decoding.Reply
}

func begin(setup decoding.Setup) replies {
	if setup.Params.BeamWidth > 0 {
		return decoding.NewBeam(setup)
	}
	return decoding.NewPanel(setup)
}

// setup collects all that a reply depends on.
func (s *Inference) setup(ctx context.Context, build *opened, request *ngramv1.GenerateRequest, profile string, stored store.Steering) (decoding.Setup, *ngramv1.GenerateHeader, error) {
	setup := decoding.Setup{
		Order: build.Build.Order, Unigrams: build.Unigrams, Text: build.Vocabulary.Text, Breaks: build.breaks(),
		Find: func(token string) uint32 { return build.Token([]byte(token)) }, Stages: int(request.GetStages()),
	}
	if past := request.GetStoredBans(); past != nil {
		stored.Bans = past.GetTexts()
	}
	var err error
	if setup.Params, err = s.parameters(profile, stored.Profile, request.GetParameters()); err != nil {
		return setup, nil, err
	}
	if err = searchable(setup.Params, int(build.Build.VocabularySize)); err != nil {
		return setup, nil, err
	}
	if setup.Params.MaxCopied > 0 && setup.Params.MaxCopiedExact {
		if setup.Copies, err = build.Copies(ctx, build.tokenizer); err != nil {
			return setup, nil, err
		}
	}
	if err = build.steer(&setup, request, stored.Bans); err != nil {
		return setup, nil, err
	}
	build.extended(&setup)
	if setup.Joiner, err = build.joiners(); err != nil {
		return setup, nil, err
	}
	if request.GetContinueText() {
		if setup.Prompt, err = build.prompt(request.GetPrompt()); err != nil {
			return setup, nil, err
		}
	}
	said, err := build.split(request.GetReplySoFar(), "reply_so_far")
	if err != nil {
		return setup, nil, err
	}
	for i, sentence := range said {
		if i > 0 {
			setup.ReplySoFar = append(setup.ReplySoFar, lookup.End)
		}
		setup.ReplySoFar = build.ids(setup.ReplySoFar, sentence)
	}
	history, err := build.texts(request.GetHistory(), "history")
	if err != nil {
		return setup, nil, err
	}
	setup.Cache = build.cache(history, setup.Params.CacheWeight, stored.CacheWeights)
	earlier, err := build.texts(request.GetEarlierReplies(), "earlier_replies")
	if err != nil {
		return setup, nil, err
	}
	for i := range earlier {
		earlier[i] = append(earlier[i], lookup.End)
	}
	setup.Earlier = newest(earlier, decoding.MaxHistory)
	setup.PenaltyHistory = newest(history, setup.Params.PenaltyHistory)
	header := &ngramv1.GenerateHeader{
		BuildId:    uint32(build.Build.ID),
		Parameters: inForce(setup.Params, setup.Cache.Weight(), request.GetParameters(), slices.Concat(request.GetParameters().GetBans(), stored.Bans)),
		Extension:  build.extension.told(),
	}
	if setup.Stages > 0 {
		header.Stages = decoding.Stages()
	}
	return setup, header, nil
}

// prompt returns the tokens of the sentence to continue; none when the prompt ends with a complete one.
func (o opened) prompt(written string) ([]uint32, error) {
	tokens, err := o.lastSentence(written, "prompt")
	if err != nil {
		return nil, err
	}
	lines := o.Settings.Tokenizer != ngram.TokenizerWords
	if lines && strings.HasSuffix(written, "\n") {
		return nil, nil
	}
	if !lines && len(tokens) > 1 {
		last := tokens[len(tokens)-1]
		if last != lookup.Unknown && text.IsSentenceEnd(o.spell(last)) {
			return nil, nil
		}
	}
	return tokens[1:], nil
}

// texts returns the tokens of the texts of a field. Text that a person typed is not cut as a model of foreign tokens
// expects it, so what such a model does not know is looked for word by word.
func (o opened) texts(list []string, field string) ([][]uint32, error) {
	size := 0
	for _, written := range list {
		size += len(written)
	}
	if size > maxHistoryBytes {
		text := fmt.Sprintf("must have at most %d bytes together, not %d", maxHistoryBytes, size)
		return nil, errors.New(errors.InvalidArgument, "HISTORY_TOO_LONG", "%s %s; send the latest texts", field, text).Field(field, text)
	}
	words, err := o.words()
	if err != nil {
		return nil, err
	}
	texts := make([][]uint32, len(list))
	for i, written := range list {
		sentences, err := o.split(written, fmt.Sprintf("%s[%d]", field, i))
		if err != nil {
			return nil, err
		}
		for _, sentence := range sentences {
			for _, token := range sentence.Tokens {
				if id := o.Token(token.Text); id != lookup.Unknown || o.Settings.Tokenizer != ngram.TokenizerWhitespace {
					texts[i] = append(texts[i], id)
					continue
				}
				pieces, err := words.Split(string(token.Text))
				if err != nil {
					return nil, errors.Wrap(err, errors.InvalidArgument, "INVALID_TEXT", "%s[%d]: %s", field, i, errors.Public(err))
				}
				for _, piece := range pieces {
					texts[i] = o.ids(texts[i], piece)
				}
			}
		}
	}
	return texts, nil
}

// cache returns the session cache over the tokens of a history, by the stored weights where none is asked for.
func (o opened) cache(history [][]uint32, weight float64, stored []decoding.CacheStep) *decoding.SessionCache {
	if weight == decoding.AutoCacheWeight {
		tokens := len(slices.Concat(history...))
		weight = 0
		if tokens > 0 {
			weight = decoding.CacheWeight(stored, tokens)
		}
	}
	content := func(token uint32) bool { return len(text.ContentWords(o.spell(token), "")) > 0 }
	return decoding.NewSessionCache(history, o.Unigrams.Mass, content, weight)
}

// newest returns the last tokens of the texts, oldest first.
func newest(texts [][]uint32, limit int) []uint32 {
	all := slices.Concat(texts...)
	return all[max(0, len(all)-limit):]
}

// finish describes the end of a segment. A segment without a token has no words to draw from.
func (o opened) finish(reply decoding.Reply) (*ngramv1.GenerateFinish, error) {
	finish := &ngramv1.GenerateFinish{
		Reason: reasons[reply.Reason], Chosen: uint32(reply.Index), Text: reply.Text, Tokens: uint32(reply.Tokens),
	}
	if finish.GetTokens() > 0 {
		return finish, nil
	}
	for _, token := range o.Unigrams.Sorted() {
		if token >= lookup.Specials {
			return nil, errors.New(errors.FailedPrecondition, "NOTHING_TO_SAY", "the bans leave no word that may be said; allow some")
		}
	}
	return nil, errors.New(errors.FailedPrecondition, "MODEL_EMPTY",
		"build %d of model %q holds no words; train the model on a text and build it again", o.Build.ID, o.Build.Name)
}

var reasons = map[decoding.Reason]ngramv1.FinishReason{
	decoding.Stopped:       ngramv1.FinishReason_FINISH_REASON_STOP,
	decoding.LengthReached: ngramv1.FinishReason_FINISH_REASON_LENGTH,
	decoding.StopSequence:  ngramv1.FinishReason_FINISH_REASON_STOP_SEQUENCE,
}

type generateStream interface {
	Send(*ngramv1.GenerateResponse) error
}

// chunkSender sends what is generated.
type chunkSender struct {
	build     opened
	stream    generateStream
	explainer *explainer
	at        *follower
	pending   []decoding.Event
	text      []byte    // buffer
	last      time.Time // when something was sent
}

const (
	// chunkEvery is how long tokens wait for others to be sent with: a message costs as much as several tokens, and nobody
	// reads faster. The first token never waits.
	chunkEvery  = 5 * time.Millisecond
	chunkTokens = 64
)

// push takes an event and sends what is pending when it is time.
func (c *chunkSender) push(ctx context.Context, event decoding.Event) error {
	c.pending = append(c.pending, event)
	if len(c.pending) < chunkTokens && time.Since(c.last) < chunkEvery {
		return nil
	}
	return c.flush(ctx)
}

// flush sends what is pending.
func (c *chunkSender) flush(ctx context.Context) error {
	err := c.send(ctx, c.pending...)
	c.pending, c.last = c.pending[:0], time.Now()
	return err
}

// send sends events as one chunk, unless there is nothing in them.
func (c *chunkSender) send(ctx context.Context, events ...decoding.Event) error {
	chunk := &ngramv1.GenerateChunk{Tokens: c.build.generated(events)}
	for _, event := range events {
		c.text = append(c.text, event.Text...)
	}
	chunk.Text, c.text = string(c.text), c.text[:0]
	if chunk.Text == "" && len(chunk.Tokens) == 0 {
		return nil
	}
	if c.explainer != nil {
		tokens := chunk.GetTokens()
		for _, event := range events {
			if chosen := event.Chosen; chosen != nil {
				var err error
				if tokens[0].Explanation, err = c.explainer.token(ctx, c.at.next(chosen.Token), chosen.Token, chosen.Log10); err != nil {
					return err
				}
				tokens = tokens[1:]
			}
		}
	}
	return c.stream.Send(&ngramv1.GenerateResponse{Event: &ngramv1.GenerateResponse_Chunk{Chunk: chunk}})
}

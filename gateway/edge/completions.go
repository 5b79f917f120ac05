package edge

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"dbslm/pkg/errors"
	"dbslm/pkg/rpc"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

const (
	// completionTokens is what /v1/completions draws unless it is told otherwise, as OpenAI's does.
	completionTokens = 16
	// mostTexts bounds prompts times choices of one request.
	mostTexts = 32
)

// completionRequest asks level 1 to go on with a text. No conversation is there, and nothing is stored.
type completionRequest struct {
	sampling
	prompts  []string
	echo     bool
	logprobs *int64
	bestOf   *int64
}

func readCompletion(r *http.Request) (*completionRequest, error) {
	c := &completionRequest{}
	table := c.table()
	table["prompt"] = func(name string, raw rawJSON) error {
		if k := kindOf(raw); k != "a string" && k != "an array" {
			return wrongType(name, "a string or an array of strings", raw)
		}
		if err := oneOrMore(&c.prompts, mostTexts, textBytes)(name, raw); err != nil {
			if errors.ReasonOf(err) == "INVALID_TYPE" {
				return invalid("UNSUPPORTED_PARAMETER", name, "Unsupported parameter: '%s' must be text here, a string or an array of strings; ids of tokens are not possible with this model.", name)
			}
			return err
		}
		return nil
	}
	table["echo"] = flag(&c.echo)
	table["logprobs"] = whole(&c.logprobs, 0, 5)
	table["best_of"] = whole(&c.bestOf, 1, 20)
	table["suffix"] = unless(`""`)
	if err := readObject(r, table); err != nil {
		return nil, err
	}
	switch {
	case c.model == "":
		return nil, missing("model")
	case len(c.prompts) == 0:
		c.prompts = []string{""} // a new text, as OpenAI's API has it
	}
	if len(c.prompts)*c.choices() > mostTexts {
		return nil, invalid("INVALID_VALUE", "n", "Invalid value for 'n': %d prompts and %d choices of each are more than %d texts.", len(c.prompts), c.choices(), mostTexts)
	}
	if c.bestOf != nil && int(*c.bestOf) < c.choices() {
		return nil, invalid("INVALID_VALUE", "best_of", "Invalid value for 'best_of': it must be at least 'n', %d.", c.choices())
	}
	return c, nil
}

// generate is the request for one choice. The seeds of several follow each other, and each choice is drawn as if it was alone.
func (c *completionRequest) generate(tenant, prompt string, build uint32, choice int) *ngramv1.GenerateRequest {
	p := c.parameters()
	whole, best := uint32(0), uint32(1)
	p.MaxSentences, p.BestOf = &whole, &best
	if c.bestOf != nil {
		best = uint32(*c.bestOf) / uint32(c.choices())
	}
	if p.MaxTokens == nil {
		tokens := uint32(completionTokens)
		p.MaxTokens = &tokens
	}
	if p.Seed != nil {
		*p.Seed += uint64(choice)
	}
	req := &ngramv1.GenerateRequest{Tenant: tenant, Model: c.model, BuildId: build, Prompt: prompt, ContinueText: prompt != "", Parameters: p}
	if c.logprobs != nil {
		req.Stages = uint32(max(*c.logprobs, 1))
	}
	return req
}

// completion is an answer, or a piece of one.
type completion struct {
	ID          string             `json:"id"`
	Object      string             `json:"object"`
	Created     int64              `json:"created"`
	Model       string             `json:"model"`
	Fingerprint *string            `json:"system_fingerprint"`
	Choices     []completionChoice `json:"choices"`
	Usage       *usage             `json:"usage,omitempty"`
}

type completionChoice struct {
	Text     string        `json:"text"`
	Index    int           `json:"index"`
	Logprobs *textLogprobs `json:"logprobs"`
	Finish   *string       `json:"finish_reason"`
}

func (e *Edge) complete(w http.ResponseWriter, r *http.Request) {
	c, err := readCompletion(r)
	if err != nil {
		refuse(w, err)
		return
	}
	ctx, cancel := e.within(r.Context())
	defer cancel()
	answer := completion{ID: "cmpl-" + rpc.RequestID(""), Object: "text_completion", Created: time.Now().Unix(), Model: c.model}
	out := &events{w: w}
	whole := answer
	var said []string
	build := uint32(0) // the first choice's, for all of them
	for i := range len(c.prompts) * c.choices() {
		choice := completionChoice{Index: i}
		prompt := c.prompts[i/c.choices()]
		emit := func(piece completionChoice) error {
			if !c.stream {
				return nil
			}
			answer.Fingerprint, answer.Choices = fingerprint(build), []completionChoice{piece}
			return out.send(answer)
		}
		if c.echo {
			choice.Text = prompt
			err = emit(completionChoice{Text: prompt, Index: i})
		}
		if err == nil {
			err = e.draw(ctx, c, c.generate(tenantOf(r), prompt, build, i%c.choices()), &choice, &build, emit)
		}
		if err != nil {
			end(ctx, out, c.stream, err)
			return
		}
		whole.Choices = append(whole.Choices, choice)
		said = append(said, choice.Text)
		if c.echo {
			said[i] = choice.Text[len(prompt):]
		}
	}
	whole.Fingerprint = fingerprint(build)
	if !c.stream {
		whole.Usage = e.used(ctx, tenantOf(r), c.model, c.prompts, said)
		reply(w, http.StatusOK, whole)
		return
	}
	if c.usage {
		answer.Choices, answer.Usage = []completionChoice{}, e.used(ctx, tenantOf(r), c.model, c.prompts, said)
		err = out.send(answer)
	}
	end(ctx, out, true, err)
}

// end ends a stream, or refuses what was to be answered as a whole.
func end(ctx context.Context, out *events, stream bool, err error) {
	err = timely(ctx, err)
	if err != nil && !stream {
		refuse(out.w, err)
		return
	}
	out.end(err)
}

// draw has level 1 write one choice.
func (e *Edge) draw(ctx context.Context, c *completionRequest, req *ngramv1.GenerateRequest, choice *completionChoice, build *uint32, emit func(completionChoice) error) error {
	ctx, cancel := context.WithCancel(ctx) // ends the stream, and the SQL behind it, when this returns
	defer cancel()
	stream, err := e.inference.Generate(ctx, req)
	if err != nil {
		return err
	}
	var logprobs probe
	if c.logprobs != nil {
		choice.Logprobs = &textLogprobs{Tokens: []string{}, Own: []float64{}, Top: []map[string]float64{}, Offsets: []int{}}
	}
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return errors.New(errors.Unavailable, "STREAM_CUT", "the language model ended without finishing; try again")
		}
		if err != nil {
			return err
		}
		switch event := resp.Event.(type) {
		case *ngramv1.GenerateResponse_Header:
			*build = event.Header.BuildId
			if c.logprobs != nil {
				logprobs = newProbe(int(*c.logprobs), event.Header.Stages)
			}
		case *ngramv1.GenerateResponse_Chunk:
			piece := completionChoice{Text: event.Chunk.Text, Index: choice.Index}
			if c.logprobs != nil {
				told, offset := logprobs.tell(event.Chunk.Text, event.Chunk.Tokens), len([]rune(choice.Text))
				piece.Logprobs = &textLogprobs{}
				piece.Logprobs.add(told, offset)
				choice.Logprobs.add(told, offset)
			}
			choice.Text += event.Chunk.Text
			if err := emit(piece); err != nil {
				return fmt.Errorf("the client does not take the answer: %w", err)
			}
		case *ngramv1.GenerateResponse_Finish:
			finish := finishName(event.Finish.Reason)
			choice.Finish = &finish
			return emit(completionChoice{Index: choice.Index, Finish: &finish})
		}
	}
}

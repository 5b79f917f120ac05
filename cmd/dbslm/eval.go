package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/cobra"
)

// evaluation is the result of eval as it is printed.
type evaluation struct {
	Tokens                 uint64   `json:"tokens"`
	OOV                    uint64   `json:"oov"`
	PerplexityIncludingOOV figure   `json:"perplexity_including_oov"`
	PerplexityExcludingOOV figure   `json:"perplexity_excluding_oov"`
	Model                  string   `json:"model"`
	Build                  uint32   `json:"build"`
	Sentences              uint64   `json:"sentences"`
	Log10                  float64  `json:"log10"`
	MatchedOrders          []uint64 `json:"matched_orders"`
	MassContexts           uint32   `json:"mass_contexts,omitempty"`
	MassErrorMax           *float64 `json:"mass_error_max,omitempty"`
	RenormalisedPositions  uint32   `json:"renormalised_positions,omitempty"`
	SampledPerplexity      *float64 `json:"sampled_perplexity,omitempty"`
	RenormalisedPerplexity *float64 `json:"renormalised_perplexity,omitempty"`
	BitsPerByte            figure   `json:"bits_per_byte"`
	Log10OOV               float64  `json:"log10_oov"`

	Orders     []evaluatedOrder `json:"orders"`
	Text       string           `json:"text"`
	TextBytes  uint64           `json:"text_bytes"`
	TextSHA256 string           `json:"text_sha256"`
	Evaluation string           `json:"evaluation,omitempty"`
	Created    time.Time        `json:"created"`
	Timed      uint64           `json:"latency_sentences"`
	P50        float64          `json:"latency_p50_micros"`
	P90        float64          `json:"latency_p90_micros"`
	P99        float64          `json:"latency_p99_micros"`
	Max        float64          `json:"latency_max_micros"`
	Explained  json.RawMessage  `json:"explained,omitempty"`
}

// evaluatedOrder is what the tokens add up to that were found as n-grams of one length.
type evaluatedOrder struct {
	Order    uint32  `json:"order"`
	Tokens   uint64  `json:"tokens"`
	Log10    float64 `json:"log10"`
	OOV      uint64  `json:"oov,omitempty"`
	Log10OOV float64 `json:"log10_oov,omitempty"`
}

func newEval(a *app) *cobra.Command {
	header := &ngramv1.EvaluateHeader{}
	var read reading
	var asJSON, noStore bool
	var explain explainFlags
	cmd := &cobra.Command{
		Use:   "eval FILE",
		Short: "Measure how well a model predicts a text",
		Long: `Print tokens, unknown tokens (OOV) and perplexity of a text, with unknown tokens scored as <unk> and without them.
Every token counts, and one end of sentence for each sentence. "-" reads standard input.
Bits per byte compare models of any tokeniser; the time is that of one sentence in the service.

The result is stored with the build and the hash of the text; dbslm evaluations lists and compares what is stored.
With --tokens every token comes first, with its probability; with --json too, a line of JSON for each sentence.`,
		Example: `  dbslm eval heldout.txt
  dbslm eval heldout.txt --no-store --tokens
  dbslm eval heldout.txt --json --check-mass 1000
  dbslm eval heldout.txt --explain --explain-tokens 20
  dbslm eval heldout.txt --model harbour --build 3 --renormalise 2000`,
		Args: oneArg("the text's file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, cleanup, err := a.evalInput(cmd.Context(), args[0], read)
			defer cleanup()
			if err != nil {
				return err
			}
			header.Tenant, header.Label, header.Store = a.tenant, in.label, !noStore
			header.Explain = explain.options()
			return a.with(cmd.Context(), false, func(conn *connection) error {
				var sentence func(*ngramv1.SentenceScore) error
				if header.Tokens || header.Explain != nil {
					sentence = a.tokenPrinter(asJSON, explain)
				}
				in, err := a.laidOutFor(cmd.Context(), conn, header.Model, in)
				if err != nil {
					return err
				}
				result, explained, err := a.evaluate(cmd.Context(), conn, header, in, read.encoding, sentence)
				if err != nil {
					return err
				}
				if explain.sql {
					printStatements(a.out, fmt.Sprintf("build %d", result.Build), explained.GetStatements())
					return nil
				}
				if asJSON && sentence != nil {
					return json.NewEncoder(a.out).Encode(result)
				}
				if asJSON {
					return printJSON(a.out, result)
				}
				a.printSummary(explained)
				return a.printEvaluation(result)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&header.Model, "model", "default", "`name` of the model")
	flags.Uint32Var(&header.BuildId, "build", 0, "`number` of the build; 0 is the published one")
	flags.Uint32Var(&header.CheckMass, "check-mass", 0, "sum the probabilities of all tokens at `N` sampled contexts of the text")
	flags.Uint32Var(&header.Renormalise, "renormalise", 0, "score `N` sampled positions with and without dividing by the true mass")
	flags.Uint64Var(&header.SampleSeed, "sample-seed", 1, "`number` from which both samples are drawn")
	flags.BoolVar(&header.Tokens, "tokens", false, "print every token with its log10 probability and the length of the n-gram found")
	explain.register(flags)
	flags.BoolVar(&noStore, "no-store", false, "do not keep the result")
	read.register(flags)
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// evalInput finds the text and checks that it is one. The cleanup is never nil.
func (a *app) evalInput(ctx context.Context, path string, read reading) (in input, cleanup func(), err error) {
	in = input{label: stdinLabel, from: a.in}
	if path != "-" {
		if in, err = oneFile(path); err != nil {
			return in, func() {}, err
		}
	}
	if err := read.recognise(&in); err != nil {
		return in, func() {}, err
	}
	in, cleanup, err = in.spooled(ctx)
	if err != nil {
		return in, cleanup, err
	}
	found, err := in.checkText(ctx, read.encoding, nil, nil)
	in.text = found.bytes
	a.warnOfNULs(in, found)
	if err == nil && found.blank {
		err = usagef("%s holds no text; there is nothing to evaluate", in.label)
	}
	return in, cleanup, err
}

// laidOutFor is the input as the model reads it.
func (a *app) laidOutFor(ctx context.Context, conn *connection, name string, in input) (input, error) {
	if in.dialogues == nil {
		return in, nil
	}
	model, err := a.findModel(ctx, conn, name)
	return laidOut([]input{in}, model.GetSettings().GetTokenizer())[0], err
}

func (a *app) evaluate(ctx context.Context, conn *connection, header *ngramv1.EvaluateHeader, in input, encoding string,
	sentence func(*ngramv1.SentenceScore) error,
) (*evaluation, *ngramv1.ExplanationSummary, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stream, err := conn.gateway.Evaluate(ctx)
	if err != nil {
		return nil, nil, err
	}
	go func() {
		if err := sendEvaluation(stream, header, in, encoding); err != nil {
			cancel(err)
		}
	}()
	bars := newProgress(a.streams)
	defer bars.close()
	var result *evaluation
	var explained *ngramv1.ExplanationSummary
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			if result == nil {
				return nil, nil, errors.New(errors.Unavailable, "NO_RESULT", "the server ended the evaluation without a result; try again")
			}
			return result, explained, nil
		}
		if err != nil {
			if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
				return nil, nil, cause
			}
			return nil, nil, err
		}
		switch event := resp.Response.GetEvent().(type) {
		case *ngramv1.EvaluateResponse_Progress:
			bars.set(event.Progress.Phase, event.Progress.Done, max(event.Progress.Total, uint64(in.text)), event.Progress.Phase == "score")
		case *ngramv1.EvaluateResponse_Sentence:
			if err := sentence(event.Sentence); err != nil {
				return nil, nil, err
			}
		case *ngramv1.EvaluateResponse_Explained:
			explained = event.Explained
		case *ngramv1.EvaluateResponse_Evaluation:
			result = resultOf(event.Evaluation)
			result.Explained = protoJSON(explained)
		}
	}
}

func sendEvaluation(stream gatewayv1.GatewayService_EvaluateClient, header *ngramv1.EvaluateHeader, in input, encoding string) error {
	r, err := in.open(encoding)
	if err != nil {
		return err
	}
	defer r.Close()
	send := func(m *ngramv1.EvaluateRequest) error {
		return stream.Send(&gatewayv1.EvaluateRequest{Request: m})
	}
	err = send(&ngramv1.EvaluateRequest{Part: &ngramv1.EvaluateRequest_Header{Header: header}})
	for err == nil {
		buf := make([]byte, chunkSize) // gRPC may keep it after Send
		n, readErr := io.ReadFull(r, buf)
		if n > 0 {
			err = send(&ngramv1.EvaluateRequest{Part: &ngramv1.EvaluateRequest_Chunk{Chunk: buf[:n]}})
		}
		if readErr == io.EOF || readErr == io.ErrUnexpectedEOF {
			break
		}
		if readErr != nil {
			return textError(readErr, in.label)
		}
	}
	if err == io.EOF { // the server ended first: its status says why
		return nil
	}
	if err != nil {
		return err
	}
	return stream.CloseSend()
}

func resultOf(e *ngramv1.Evaluation) *evaluation {
	r := &evaluation{
		Tokens: e.Tokens, OOV: e.Oov,
		PerplexityIncludingOOV: figure(e.PerplexityIncludingOov), PerplexityExcludingOOV: figure(e.PerplexityExcludingOov),
		Model: e.Model, Build: e.BuildId, Sentences: e.Sentences, Log10: e.Log10Probability, MatchedOrders: e.MatchedOrders,
		MassContexts: e.MassContexts, RenormalisedPositions: e.RenormalisedPositions,
		BitsPerByte: figure(e.BitsPerByte), Log10OOV: e.Log10Oov, Text: e.Label, TextBytes: e.TextBytes, TextSHA256: hex.EncodeToString(e.TextSha256),
		Evaluation: e.EvaluationId, Created: e.CreateTime.AsTime(),
		Timed: e.Latency.GetSentences(), P50: e.Latency.GetP50Micros(), P90: e.Latency.GetP90Micros(), P99: e.Latency.GetP99Micros(), Max: e.Latency.GetMaxMicros(),
	}
	for _, o := range e.Orders {
		r.Orders = append(r.Orders, evaluatedOrder{o.Order, o.Tokens, o.Log10Probability, o.Oov, o.Log10Oov})
	}
	if e.MassContexts > 0 {
		r.MassErrorMax = &e.MassErrorMax
	}
	if e.RenormalisedPositions > 0 {
		r.SampledPerplexity, r.RenormalisedPerplexity = &e.SampledPerplexity, &e.RenormalisedPerplexity
	}
	return r
}

func (a *app) printEvaluation(r *evaluation) error {
	rows := [][]string{
		{"model", fmt.Sprintf("%s, build %d", r.Model, r.Build)},
		{"sentences", count(r.Sentences)},
		{"tokens", count(r.Tokens)},
		{"unknown tokens", count(r.OOV)},
		{"perplexity with unknown tokens", fmt.Sprintf("%.3f", r.PerplexityIncludingOOV)},
		{"perplexity without them", fmt.Sprintf("%.3f", r.PerplexityExcludingOOV)},
		{"bits per byte", fmt.Sprintf("%.4f", r.BitsPerByte)},
	}
	for i, n := range r.MatchedOrders {
		rows = append(rows, []string{fmt.Sprintf("found as %d-gram", i+1), count(n)})
	}
	if r.MassErrorMax != nil {
		rows = append(rows, []string{fmt.Sprintf("largest |sum of p - 1| at %s contexts", count(r.MassContexts)), fmt.Sprintf("%.3g", *r.MassErrorMax)})
	}
	if r.RenormalisedPerplexity != nil {
		rows = append(rows,
			[]string{fmt.Sprintf("perplexity of %s sampled positions", count(r.RenormalisedPositions)), fmt.Sprintf("%.3f", *r.SampledPerplexity)},
			[]string{"the same, divided by the true mass", fmt.Sprintf("%.3f", *r.RenormalisedPerplexity)})
	}
	if r.Timed > 0 {
		rows = append(rows, []string{"microseconds for a sentence, p50 p90 p99 max", fmt.Sprintf("%.1f %.1f %.1f %.1f", r.P50, r.P90, r.P99, r.Max)})
	}
	if r.Evaluation != "" {
		rows = append(rows, []string{"stored as", r.Evaluation})
	}
	return table(a.out, rows)
}

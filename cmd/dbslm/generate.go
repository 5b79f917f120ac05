package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/cobra"
)

// generateFlags are the flags of generate that only a request has.
type generateFlags struct {
	decodeFlags
	seed                          uint64
	n                             uint32
	profile                       string
	stop, bans, required, extend  []string
	bias, replace, after, history []string
	prompt                        string
	model                         string
	build, stages                 uint32
	asJSON                        bool
}

// generated is the result of generate as it is printed.
type generated struct {
	Text       string               `json:"text"`
	Reason     string               `json:"finish_reason"`
	Tokens     uint32               `json:"tokens"`
	Model      string               `json:"model"`
	Build      uint32               `json:"build"`
	Seed       uint64               `json:"seed"`
	Parameters map[string]any       `json:"parameters"`
	Candidates []generatedCandidate `json:"candidates,omitempty"`
	Stages     []stagedToken        `json:"stages,omitempty"`
}

type generatedCandidate struct {
	Text   string  `json:"text"`
	Reason string  `json:"finish_reason"`
	Tokens uint32  `json:"tokens"`
	Seed   uint64  `json:"seed"`
	Score  float64 `json:"score"`
	Log10  float64 `json:"log10"`
}

// stagedToken is a chosen token with what the stages of decoding made of its candidates.
type stagedToken struct {
	Token      string            `json:"token"`
	Candidates []stagedCandidate `json:"candidates"`
}

type stagedCandidate struct {
	Token         string             `json:"token"`
	MatchedOrder  uint32             `json:"matched_order"`
	ContextHash   int64              `json:"context_hash"`
	Kept          bool               `json:"kept"`
	Probabilities map[string]float64 `json:"probabilities"`
}

func newGenerate(a *app) *cobra.Command {
	f := &generateFlags{}
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Have a model write text, without a conversation",
		Long: `Write a sentence, or go on with --prompt. What is not set comes from the decode profile (dbslm profiles). The same model, build,
parameters and seed give the same text everywhere; --json tells them. How a text is drawn, step by step, stands in docs/decoding.md.`,
		Example: `  dbslm generate --seed 7
  dbslm generate --prompt "The lamp burned" --max-sentences 3 --temperature 0.6
  dbslm generate --history "Where is the ferry?" --n 3 --json
  dbslm generate --replace "Old Harbour Pier=Marie Curie Quay" --require "at nine" --ban damn --bias "captain=1.5"
  dbslm generate --beam-width 8 --n 3 --length-penalty 0.8
  dbslm generate --max-copied 6 --max-copied-exact
  dbslm generate --stages 3 --json --best-of 1`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			request, err := f.request(a, cmd)
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), false, func(conn *connection) error {
				return a.generate(cmd.Context(), conn, request, f)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.model, "model", "default", "`name` of the model")
	flags.Uint32Var(&f.build, "build", 0, "`number` of the build; 0 is the published one")
	flags.StringVar(&f.prompt, "prompt", "", "`text` to continue")
	flags.StringArrayVar(&f.history, "history", nil, "`text` that was said before, which the reply is drawn to; repeat it, oldest first")
	flags.StringVar(&f.profile, "profile", "", "`name` of the decode profile; empty is \"default\"")
	flags.Uint64Var(&f.seed, "seed", 0, "`number` that the text is drawn from; a new one unless given")
	flags.Uint32Var(&f.n, "n", 0, "print the `N` best of the replies that were drawn, with their scores")
	flags.StringArrayVar(&f.stop, "stop", nil, "end before this `text`; may be repeated")
	flags.StringArrayVar(&f.bans, "ban", nil, "never say this `text`; may be repeated")
	flags.StringArrayVar(&f.required, "require", nil, "say this `text`; may be repeated")
	flags.StringArrayVar(&f.extend, "extend", nil, "allow `words` that the model never saw; may be repeated")
	flags.StringArrayVar(&f.bias, "bias", nil, "prefer or suppress a text, as `text=strength` in log10 units; may be repeated")
	flags.StringArrayVar(&f.replace, "replace", nil, "write another text wherever one is said, as `old=new`; may be repeated")
	flags.StringArrayVar(&f.after, "after", nil, "prefer a text after another, as `before=text`; may be repeated")
	f.register(flags)
	flags.Uint32Var(&f.stages, "stages", 0, "with --json, tell what the stages of decoding made of the `N` likeliest candidates of each token")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

// request checks the flags that the service does not see as they were given.
func (f *generateFlags) request(a *app, cmd *cobra.Command) (*ngramv1.GenerateRequest, error) {
	p := f.parameters(cmd.Flags())
	p.Profile, p.Stop, p.Bans, p.Required = f.profile, f.stop, f.bans, f.required
	if cmd.Flags().Changed("seed") {
		p.Seed = &f.seed
	}
	if cmd.Flags().Changed("n") {
		p.N = &f.n
	}
	for _, word := range f.extend {
		p.Extension = append(p.Extension, &ngramv1.ExtensionWord{Text: word, Source: "command line"})
	}
	pairs := func(flag string, values []string, add func(left, right string) error) error {
		for _, value := range values {
			at := strings.LastIndex(value, "=")
			if at <= 0 || at == len(value)-1 {
				return usagef("--%s %q has no two sides around an =; see: dbslm generate --help", flag, value)
			}
			if err := add(value[:at], value[at+1:]); err != nil {
				return err
			}
		}
		return nil
	}
	bias := func(b *ngramv1.SequenceBias) error {
		b.Source = "command line"
		p.Biases = append(p.Biases, b)
		return nil
	}
	err := errors.Join(
		pairs("bias", f.bias, func(text, strength string) error {
			s, err := strconv.ParseFloat(strength, 64)
			if err != nil {
				return usagef("--bias %q: %q is not a number", text+"="+strength, strength)
			}
			return bias(&ngramv1.SequenceBias{Text: text, StrengthLog10: s})
		}),
		pairs("replace", f.replace, func(old, text string) error { return bias(&ngramv1.SequenceBias{Text: text, InsteadOf: old}) }),
		pairs("after", f.after, func(after, text string) error { return bias(&ngramv1.SequenceBias{Text: text, After: after}) }),
	)
	if err == nil && f.stages > 0 && !f.asJSON {
		err = usagef("--stages needs --json")
	}
	return &ngramv1.GenerateRequest{
		Tenant: a.tenant, Model: f.model, BuildId: f.build, Prompt: f.prompt, ContinueText: f.prompt != "", History: f.history, Parameters: p, Stages: f.stages,
	}, err
}

// generate prints text as it comes, or the whole answer as JSON.
func (a *app) generate(ctx context.Context, conn *connection, request *ngramv1.GenerateRequest, f *generateFlags) error {
	stream, err := ngramv1.NewInferenceServiceClient(conn).Generate(ctx, request)
	if err != nil {
		return err
	}
	result := generated{Model: f.model}
	pieces := !f.asJSON && f.n == 0 // text is printed piece by piece
	var stages []string
	for {
		response, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		switch event := response.GetEvent().(type) {
		case *ngramv1.GenerateResponse_Header:
			result.Build, result.Seed, stages = event.Header.GetBuildId(), event.Header.GetParameters().GetSeed(), event.Header.GetStages()
			if result.Parameters, err = parametersJSON(event.Header.GetParameters()); err != nil {
				return err
			}
		case *ngramv1.GenerateResponse_Chunk:
			if pieces {
				fmt.Fprint(a.out, event.Chunk.GetText())
			}
			for _, token := range event.Chunk.GetTokens() {
				if len(token.GetStages()) > 0 {
					result.Stages = append(result.Stages, staged(token, stages))
				}
			}
		case *ngramv1.GenerateResponse_Finish:
			finish := event.Finish
			result.Text, result.Reason, result.Tokens = finish.GetText(), finishName(finish.GetReason()), finish.GetTokens()
			for _, c := range finish.GetCandidates() {
				result.Candidates = append(result.Candidates, generatedCandidate{
					c.GetText(), finishName(c.GetReason()), c.GetTokens(), c.GetSeed(), c.GetScore(), c.GetLog10Probability(),
				})
			}
		}
	}
	switch {
	case f.asJSON:
		return printJSON(a.out, result)
	case pieces:
		_, err := fmt.Fprintln(a.out)
		return err
	}
	rows := [][]string{{"SCORE", "SEED", "TEXT"}}
	for _, c := range result.Candidates {
		rows = append(rows, []string{fmt.Sprintf("%.3f", c.Score), fmt.Sprint(c.Seed), oneLine(c.Text)})
	}
	return table(a.out, rows)
}

func finishName(reason ngramv1.FinishReason) string {
	return strings.ToLower(strings.TrimPrefix(reason.String(), "FINISH_REASON_"))
}

func staged(token *ngramv1.GeneratedToken, stages []string) stagedToken {
	out := stagedToken{Token: token.GetToken().GetText()}
	for _, c := range token.GetStages() {
		candidate := stagedCandidate{
			Token: c.GetToken().GetText(), MatchedOrder: c.GetMatchedOrder(), ContextHash: c.GetContextHash(), Kept: c.GetKept(), Probabilities: map[string]float64{},
		}
		for i, p := range c.GetProbabilities() {
			candidate.Probabilities[stages[i]] = p
		}
		out.Candidates = append(out.Candidates, candidate)
	}
	return out
}

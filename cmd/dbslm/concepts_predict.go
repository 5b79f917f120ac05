package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	conceptv1 "dbslm/proto/dbslm/concept/v1"

	"github.com/spf13/cobra"
)

// maxPredicted is how many utterances one request holds, longestUtterance how many bytes each; the service says so too.
const (
	maxPredicted     = 256
	longestUtterance = 64 << 10
)

// conceptPrediction is what a bot's decision model makes of one utterance, as it is printed.
type conceptPrediction struct {
	Text       string             `json:"text"`
	Concept    string             `json:"concept"`
	Abstention string             `json:"abstention,omitempty"`
	Build      uint32             `json:"build"`
	Threshold  float64            `json:"threshold"`
	Scale      float64            `json:"scale"`
	Candidates []predictedConcept `json:"candidates"`
	None       float64            `json:"none"`
	NoneScore  float64            `json:"none_score"`
	Slots      []saidSlot         `json:"slots,omitempty"`
	Unsaid     []string           `json:"unsaid_slots,omitempty"`
	Features   []textFeature      `json:"features,omitempty"`
	Formula    string             `json:"formula,omitempty"`
}

type predictedConcept struct {
	Concept       string            `json:"concept"`
	Probability   float64           `json:"probability"`
	Score         float64           `json:"score"`
	Base          float64           `json:"base"`
	Weak          bool              `json:"weak,omitempty"`
	Reason        string            `json:"reason,omitempty"`
	Evidence      []conceptEvidence `json:"evidence,omitempty"`
	EvidenceCount uint32            `json:"evidence_count,omitempty"`
}

type conceptEvidence struct {
	Feature string  `json:"feature"`
	Count   float64 `json:"count"`
	Weight  float64 `json:"weight"`
}

// saidSlot is what an utterance says of a slot, and with which of its words.
type saidSlot struct {
	Slot  string          `json:"slot"`
	Value json.RawMessage `json:"value"`
	Said  string          `json:"said"`
}

type textFeature struct {
	Feature     string  `json:"feature"`
	Occurrence  float64 `json:"occurrence"`
	Documents   uint64  `json:"documents"`
	ContextHash int64   `json:"context_hash,string"`
}

func summariseConceptPrediction(text string, resp *conceptv1.PredictResponse, p *conceptv1.Prediction) conceptPrediction {
	out := conceptPrediction{
		Text: text, Concept: p.Concept, Abstention: p.Abstention, Build: resp.BuildId, Threshold: resp.Threshold, Scale: resp.Scale,
		Candidates: []predictedConcept{}, None: p.Background.GetProbability(), NoneScore: p.Background.GetScore(),
	}
	for _, c := range p.Candidates {
		one := predictedConcept{c.Concept, c.Probability, c.Score, c.Base, c.Weak, c.Reason, nil, c.EvidenceCount}
		for _, e := range c.Evidence {
			one.Evidence = append(one.Evidence, conceptEvidence{e.Feature, e.Count, e.Weight})
		}
		out.Candidates = append(out.Candidates, one)
	}
	for _, s := range p.Slots {
		said := ""
		if s.From <= s.To && int(s.To) <= len(text) {
			said = text[s.From:s.To]
		}
		out.Slots = append(out.Slots, saidSlot{s.Slot, json.RawMessage(s.ValueJson), said})
	}
	out.Unsaid = p.UnsaidSlots
	for _, f := range p.Features {
		out.Features = append(out.Features, textFeature{f.Feature, f.Occurrence, f.Documents, f.ContextHash})
		out.Formula = resp.Formula
	}
	return out
}

func newConceptsPredict(a *app) *cobra.Command {
	req := &conceptv1.PredictRequest{}
	var explain, asJSON bool
	cmd := &cobra.Command{
		Use:   "predict TEXT...",
		Short: "Show which concept an utterance means, how probable, and why",
		Long: `Print what the decision model of a bot makes of an utterance: the concept that it would let speak, or that it abstains, the most
probable ones, and what the utterance says of the slots that the concept reads. In a conversation signals, corrections and values
that are missing may decide otherwise. "-" reads standard input, an utterance a line. With --explain: the features that speak for
each concept, with their counts, and what they add to its score.`,
		Example: `  dbslm concepts predict when are you open --bot sail-loft
  dbslm concepts predict --explain --top 2 "Can I borrow a drill?"
  dbslm concepts predict - --json < utterances.txt`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("the utterance is missing; see: %s --help", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if req.MaxCandidates < 1 || req.MaxCandidates > 16 {
				return usagef("--top must be from 1 to 16, not %d", req.MaxCandidates)
			}
			texts := []string{strings.Join(args, " ")}
			if len(args) == 1 && args[0] == "-" {
				texts = nil
				lines, err := readUtterances(interruptible(cmd.Context(), a.in), "standard input", func(line string) (string, error) { return line, nil })
				if err != nil {
					return err
				}
				texts = append(texts, lines...)
			} else if err := checkUtterance(texts[0]); err != nil {
				return usagef("the utterance %v", err)
			}
			req.Tenant, req.Features = a.tenant, explain
			if explain {
				req.MaxEvidence = 16
			}
			return a.with(cmd.Context(), false, func(conn *connection) error {
				return a.predictConcepts(cmd, conn, req, texts, func(got conceptPrediction) error {
					if asJSON {
						return printJSON(a.out, got)
					}
					return a.printConceptPrediction(got, len(texts) > 1, explain)
				})
			})
		},
	}
	botFlag(cmd, &req.Bot)
	flags := cmd.Flags()
	flags.Uint32Var(&req.BuildId, "build", 0, "`number` of the build; 0 is the published one")
	flags.Uint32Var(&req.MaxCandidates, "top", 5, "`number` of concepts shown, 1 to 16")
	flags.BoolVar(&explain, "explain", false, "also print what speaks for each concept")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// predictConcepts asks about utterances, as many at once as a request holds, all of one build.
func (a *app) predictConcepts(cmd *cobra.Command, conn *connection, req *conceptv1.PredictRequest, texts []string, each func(conceptPrediction) error) error {
	client := conceptv1.NewPredictionServiceClient(conn)
	for at := 0; at < len(texts); at += maxPredicted {
		req.Texts = texts[at:min(at+maxPredicted, len(texts))]
		resp, err := client.Predict(cmd.Context(), req)
		if err != nil {
			return err
		}
		req.BuildId = resp.BuildId
		for i, p := range resp.Predictions {
			if err := each(summariseConceptPrediction(req.Texts[i], resp, p)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *app) printConceptPrediction(p conceptPrediction, named, explain bool) error {
	if named {
		fmt.Fprintf(a.out, "%s\n", oneLine(p.Text))
	}
	switch {
	case p.Concept != "":
		fmt.Fprintf(a.out, "%s (build %d, threshold %.2f)\n", p.Concept, p.Build, p.Threshold)
	case p.Abstention == "no_concepts":
		fmt.Fprintf(a.out, "abstains: no concept shares a word with it (build %d)\n", p.Build)
	default:
		fmt.Fprintf(a.out, "abstains: nothing is probable enough (build %d, threshold %.2f)\n", p.Build, p.Threshold)
	}
	rows := [][]string{{"  CONCEPT", "PROBABILITY", "SCORE", "NOTE"}}
	for _, c := range p.Candidates {
		note := strings.ReplaceAll(c.Reason, "_", " ")
		if c.Weak {
			note += ", only weakly spoken for"
		}
		rows = append(rows, []string{"  " + c.Concept, fmt.Sprintf("%.4f", c.Probability), fmt.Sprintf("%.3f", c.Score), note})
	}
	rows = append(rows, []string{"  (none of them)", fmt.Sprintf("%.4f", p.None), fmt.Sprintf("%.3f", p.NoneScore), ""})
	if err := table(a.out, rows); err != nil {
		return err
	}
	if err := a.printSaidSlots(p); err != nil || !explain {
		return err
	}
	for _, c := range p.Candidates {
		if len(c.Evidence) == 0 {
			continue
		}
		fmt.Fprintf(a.out, "\n%s: score %.3f = %.3f without evidence + %s\n", c.Concept, c.Score, c.Base, plural(c.EvidenceCount, "feature", "features"))
		rows := [][]string{{"  FEATURE", "COUNT", "ADDS"}}
		for _, e := range c.Evidence {
			rows = append(rows, []string{"  " + e.Feature, fmt.Sprintf("%.4f", e.Count), fmt.Sprintf("%+.4f", e.Weight)})
		}
		if more := int(c.EvidenceCount) - len(c.Evidence); more > 0 {
			rest := c.Score - c.Base
			for _, e := range c.Evidence {
				rest -= e.Weight
			}
			rows = append(rows, []string{fmt.Sprintf("  (%s more)", count(more)), "", fmt.Sprintf("%+.4f", rest)})
		}
		if err := table(a.out, rows); err != nil {
			return err
		}
	}
	fmt.Fprintf(a.out, "\n%s; scale %.4g\n", p.Formula, p.Scale)
	return nil
}

// printSaidSlots tells the slots that the utterance says, and which it leaves to be asked for.
func (a *app) printSaidSlots(p conceptPrediction) error {
	if len(p.Slots)+len(p.Unsaid) == 0 {
		return nil
	}
	rows := [][]string{{"  SLOT", "VALUE", "SAID"}}
	for _, s := range p.Slots {
		rows = append(rows, []string{"  " + s.Slot, oneLine(string(s.Value)), oneLine(s.Said)})
	}
	for _, name := range p.Unsaid {
		rows = append(rows, []string{"  " + name, "-", ""})
	}
	fmt.Fprintln(a.out)
	return table(a.out, rows)
}

// readUtterances reads lines that parse makes something of; empty ones are passed over. Its errors name place and line.
func readUtterances[T any](in io.Reader, name string, parse func(line string) (T, error)) (out []T, err error) {
	data, err := io.ReadAll(io.LimitReader(in, maxLabelled+1))
	switch {
	case err != nil:
		return nil, usagef("%s: %v", name, err)
	case len(data) > maxLabelled:
		return nil, usagef("%s has more than %s bytes; divide it", name, count(maxLabelled))
	}
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" {
			continue
		}
		one, err := parse(line)
		if err == nil {
			err = checkUtterance(line)
		}
		if err != nil {
			return nil, usagef("%s:%d: the line %v", name, n, err)
		}
		out = append(out, one)
	}
	if len(out) == 0 {
		return nil, usagef("%s holds no utterance", name)
	}
	return out, nil
}

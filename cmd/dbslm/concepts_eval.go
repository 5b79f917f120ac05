package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	conceptv1 "dbslm/proto/dbslm/concept/v1"
	"dbslm/services/concept/measures"

	"github.com/spf13/cobra"
)

const (
	explainedMistakes = 10 // mistakes that a report explains
	shownConcepts     = 10 // concepts and confusions that the text lists
)

// conceptEvaluation is how a bot decides about labelled utterances, as it is printed.
type conceptEvaluation struct {
	Bot              string             `json:"bot"`
	Build            uint32             `json:"build"`
	Threshold        float64            `json:"threshold"`
	InScope          int                `json:"in_scope"`
	OutOfScope       int                `json:"out_of_scope"`
	Accuracy         float64            `json:"accuracy"`
	Followed         float64            `json:"accuracy_with_abstention"`
	Abstained        float64            `json:"abstained"`
	Refused          *float64           `json:"out_of_scope_recall"`
	CalibrationError float64            `json:"calibration_error"`
	Calibration      []calibrationBin   `json:"calibration"`
	Concepts         []conceptFigures   `json:"concepts"`
	Confusions       []confusion        `json:"confusions"`
	Thresholds       []thresholdFigures `json:"thresholds"`
	Mistakes         []mistake          `json:"mistakes"`
	Unknown          []string           `json:"unknown_concepts"`
	report           measures.Report    // what Calibration to Thresholds say
}

type calibrationBin struct {
	Count       int     `json:"count"`
	Probability float64 `json:"probability"`
	Right       float64 `json:"right"`
}

type conceptFigures struct {
	Concept   string  `json:"concept"`
	Wanted    int     `json:"wanted"`
	Said      int     `json:"said"`
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
}

type confusion struct {
	Wanted string `json:"wanted"`
	Said   string `json:"said"`
	Count  int    `json:"count"`
}

type thresholdFigures struct {
	Threshold float64 `json:"threshold"`
	Followed  float64 `json:"accuracy_with_abstention"`
	Refused   float64 `json:"out_of_scope_recall"`
}

// mistake is an utterance that another concept was most probable for, and why.
type mistake struct {
	Wanted     string            `json:"wanted"`
	Prediction conceptPrediction `json:"prediction"`
}

func newConceptsEval(a *app) *cobra.Command {
	var bot, oos, html string
	var build uint32
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "eval FILE.tsv",
		Short: "Measure how well a bot tells its concepts apart, on labelled utterances",
		Long: `Each line of the file is an utterance, a tab and the concept that it means. With --oos FILE, utterances that mean no concept of the bot,
one a line (what follows a tab is ignored): how many of them the bot refuses. Printed are accuracy without and with abstention,
out-of-scope recall, calibration error, precision and recall of concepts, confusions, and the ten most confident mistakes with what led
to them.
--html writes a report with plots. "-" reads standard input.`,
		Example: `  dbslm concepts eval test.tsv --bot assistant
  dbslm concepts eval test.tsv --oos oos_test.tsv --html report.html
  dbslm concepts eval test.tsv --build 3 --json`,
		Args: oneArg("the file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted, err := readUtteranceFile(cmd.Context(), a, args[0], parseLabelled)
			if err != nil {
				return err
			}
			if oos != "" {
				if oos == "-" && args[0] == "-" {
					return usagef("standard input can be read only once")
				}
				outside, err := readUtteranceFile(cmd.Context(), a, oos, func(line string) (labelled, error) {
					utterance, _, _ := strings.Cut(line, "\t")
					return labelled{utterance: strings.TrimSpace(utterance)}, nil
				})
				if err != nil {
					return err
				}
				wanted = append(wanted, outside...)
			}
			return a.with(cmd.Context(), false, func(conn *connection) error {
				e, err := a.evaluateConcepts(cmd, conn, bot, build, wanted)
				if err != nil {
					return err
				}
				if html != "" {
					if err := writeConceptReport(html, e); err != nil {
						return err
					}
				}
				if len(e.Unknown) > 0 {
					fmt.Fprintf(a.err, "warning: the bot has no %s; no decision can be right there\n", strings.Join(e.Unknown[:min(len(e.Unknown), 10)], ", "))
				}
				if asJSON {
					return printJSON(a.out, e)
				}
				return a.printConceptEvaluation(e)
			})
		},
	}
	botFlag(cmd, &bot)
	flags := cmd.Flags()
	flags.Uint32Var(&build, "build", 0, "`number` of the build; 0 is the published one")
	flags.StringVar(&oos, "oos", "", "`file` of utterances that mean no concept")
	flags.StringVar(&html, "html", "", "also write a report with plots to this `file`")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) evaluateConcepts(cmd *cobra.Command, conn *connection, bot string, build uint32, wanted []labelled) (*conceptEvaluation, error) {
	concepts, err := a.readConcepts(cmd.Context(), conn, bot)
	if err != nil {
		return nil, err
	}
	e := &conceptEvaluation{Bot: cmp.Or(bot, "default"), Unknown: unknownConcepts(concepts, wanted)}
	texts := make([]string, len(wanted))
	known := 0
	for i, w := range wanted {
		texts[i] = w.utterance
		if w.concept != "" && !slices.Contains(e.Unknown, w.concept) {
			known++
		}
	}
	if known == 0 {
		return nil, usagef("no line's concept is one of bot %q; make them with: dbslm concepts import", e.Bot)
	}
	bar := newProgress(a.streams)
	defer bar.close()
	judged := make([]measures.Judged, 0, len(wanted))
	req := &conceptv1.PredictRequest{Tenant: a.tenant, Bot: bot, BuildId: build, MaxCandidates: 1}
	err = a.predictConcepts(cmd, conn, req, texts, func(p conceptPrediction) error {
		e.Build, e.Threshold = p.Build, p.Threshold
		j := measures.Judged{Wanted: wanted[len(judged)].concept, Said: p.Concept}
		if len(p.Candidates) > 0 {
			j.Top, j.Probability, j.Weak = p.Candidates[0].Concept, p.Candidates[0].Probability, p.Candidates[0].Weak
		}
		judged = append(judged, j)
		bar.set("utterances", uint64(len(judged)), uint64(len(texts)), false)
		return nil
	})
	if err != nil {
		return nil, err
	}
	e.sumUp(measures.Of(judged))
	return e, a.explainMistakes(cmd, conn, req, e, wanted, judged)
}

func unknownConcepts(concepts []conceptSummary, wanted []labelled) []string {
	known := map[string]bool{"": true}
	for _, c := range concepts {
		known[c.Name] = true
	}
	unknown := []string{}
	for _, w := range wanted {
		if !known[w.concept] {
			known[w.concept] = true
			unknown = append(unknown, w.concept)
		}
	}
	slices.Sort(unknown)
	return unknown
}

func (e *conceptEvaluation) sumUp(r measures.Report) {
	e.report = r
	e.InScope, e.OutOfScope, e.Accuracy, e.Followed, e.Abstained, e.CalibrationError = r.InScope, r.OutOfScope, r.Accuracy, r.Followed, r.Abstained, r.CalibrationError
	if r.OutOfScope > 0 {
		e.Refused = &r.Refused
	}
	e.Calibration, e.Concepts, e.Confusions, e.Thresholds = []calibrationBin{}, []conceptFigures{}, []confusion{}, []thresholdFigures{}
	for _, b := range r.Calibration {
		e.Calibration = append(e.Calibration, calibrationBin(b))
	}
	for _, c := range r.Concepts {
		e.Concepts = append(e.Concepts, conceptFigures{c.Name, c.Wanted, c.Said, c.Precision, c.Recall})
	}
	for _, c := range r.Confusions {
		e.Confusions = append(e.Confusions, confusion(c))
	}
	for _, p := range r.Thresholds {
		e.Thresholds = append(e.Thresholds, thresholdFigures(p))
	}
}

// explainMistakes asks again about the most confident mistakes, now with what led to them.
func (a *app) explainMistakes(cmd *cobra.Command, conn *connection, req *conceptv1.PredictRequest, e *conceptEvaluation, wanted []labelled, judged []measures.Judged) error {
	var at []int
	for i, j := range judged {
		if j.Top != j.Wanted && (j.Wanted != "" || j.Said != "") {
			at = append(at, i)
		}
	}
	slices.SortStableFunc(at, func(i, j int) int { return cmp.Compare(judged[j].Probability, judged[i].Probability) })
	at = at[:min(len(at), explainedMistakes)]
	texts := make([]string, len(at))
	for i, n := range at {
		texts[i] = wanted[n].utterance
	}
	req.MaxCandidates, req.MaxEvidence = 16, 5
	e.Mistakes = []mistake{}
	return a.predictConcepts(cmd, conn, req, texts, func(p conceptPrediction) error {
		e.Mistakes = append(e.Mistakes, mistake{wanted[at[len(e.Mistakes)]].concept, p})
		return nil
	})
}

func percent(share float64) string { return fmt.Sprintf("%.2f %%", share*100) }

func (a *app) printConceptEvaluation(e *conceptEvaluation) error {
	rows := [][]string{
		{"bot", fmt.Sprintf("%s, build %d, threshold %.2f", e.Bot, e.Build, e.Threshold)},
		{"utterances", fmt.Sprintf("%s in scope, %s out of scope", count(e.InScope), count(e.OutOfScope))},
		{"accuracy", percent(e.Accuracy)},
		{"accuracy with abstention", fmt.Sprintf("%s, %s unanswered", percent(e.Followed), percent(e.Abstained))},
	}
	if e.Refused != nil {
		rows = append(rows, []string{"out-of-scope recall", percent(*e.Refused)})
	}
	rows = append(rows, []string{"calibration error", fmt.Sprintf("%.4f in %d bins", e.CalibrationError, measures.Bins)})
	if err := table(a.out, rows); err != nil {
		return err
	}
	worst := slices.DeleteFunc(slices.Clone(e.Concepts), func(c conceptFigures) bool { return c.Wanted == 0 || c.Recall == 1 && c.Precision == 1 })
	slices.SortStableFunc(worst, func(x, y conceptFigures) int { return cmp.Compare(x.Recall, y.Recall) })
	if len(worst) > 0 {
		fmt.Fprintf(a.out, "\nconcepts found least (%s more with mistakes; all with --json or --html)\n", count(max(len(worst)-shownConcepts, 0)))
		rows = [][]string{{"CONCEPT", "UTTERANCES", "PRECISION", "RECALL"}}
		for _, c := range worst[:min(len(worst), shownConcepts)] {
			rows = append(rows, []string{c.Concept, count(c.Wanted), percent(c.Precision), percent(c.Recall)})
		}
		if err := table(a.out, rows); err != nil {
			return err
		}
	}
	if len(e.Confusions) > 0 {
		fmt.Fprintln(a.out, "\nwhat was taken for what")
		rows = [][]string{{"MEANT", "ANSWERED BY", "TIMES"}}
		for _, c := range e.Confusions[:min(len(e.Confusions), shownConcepts)] {
			rows = append(rows, []string{cmp.Or(c.Wanted, "(out of scope)"), c.Said, count(c.Count)})
		}
		if err := table(a.out, rows); err != nil {
			return err
		}
	}
	for i, m := range e.Mistakes {
		if i == 0 {
			fmt.Fprintln(a.out, "\nthe most confident mistakes")
		}
		fmt.Fprintf(a.out, "%d. %s\n", i+1, oneLine(m.Prediction.Text))
		for _, line := range m.lines() {
			fmt.Fprintf(a.out, "   %s\n", line)
		}
	}
	return nil
}

// lines say what was meant and what was more probable, each with what spoke for it.
func (m mistake) lines() []string {
	top := m.Prediction.Candidates[0]
	out := []string{"taken for " + top.line()}
	if m.Wanted == "" {
		return append(out, fmt.Sprintf("is out of scope, %.4f", m.Prediction.None))
	}
	for _, c := range m.Prediction.Candidates {
		if c.Concept == m.Wanted {
			return append(out, "meant "+c.line())
		}
	}
	return append(out, "meant "+m.Wanted+", not among the 16 most probable")
}

func (c predictedConcept) line() string {
	s := fmt.Sprintf("%s, %.4f", c.Concept, c.Probability)
	for i, e := range c.Evidence {
		sep := ", "
		if i == 0 {
			sep = ", for "
		}
		s += fmt.Sprintf("%s%q %+.2f", sep, e.Feature, e.Weight)
	}
	return s
}

// writeConceptReport writes the report as one file without references to others.
func writeConceptReport(name string, e *conceptEvaluation) error {
	path, err := expandHome(name)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return usagef("%v", err)
	}
	if err = conceptReport.Execute(f, e); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

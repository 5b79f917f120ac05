package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

// trainSummary is what a training did.
type trainSummary struct {
	Model     string             `json:"model"`
	Documents []*documentSummary `json:"documents"`
	Tokens    uint64             `json:"tokens"`
	NGrams    uint64             `json:"ngrams"`
	Build     *buildSummary      `json:"build,omitempty"`
	Probe     *metric            `json:"probe,omitempty"` // the last one
	Paused    bool               `json:"paused,omitempty"`
	Store     string             `json:"store"`

	jobs    []string                    // that do this
	number  uint64                      // of documents
	divided map[string]*documentSummary // by label of the file
}

// documentSummary is what became of a document, or of all documents of a file whose records name them.
type documentSummary struct {
	Label    string            `json:"label"`
	Outcome  string            `json:"outcome,omitempty"`
	Outcomes map[string]uint64 `json:"outcomes,omitempty"` // documents by outcome
	Tokens   uint64            `json:"tokens"`
	NGrams   uint64            `json:"ngrams"`
}

func (a *app) document(bars *progress, summary *trainSummary, ack *ngramv1.DocumentAcknowledged, resumed bool, o trainOptions) {
	d := &documentSummary{
		Label: ack.Label, Outcome: outcomes[ack.Outcome],
		Tokens: ack.Document.GetTokens(), NGrams: ack.Document.GetNgrams(),
	}
	if resumed && d.Outcome == "unchanged" { // the text came with the earlier run, its counts with this one
		d.Outcome = "completed"
	}
	summary.number++
	file := summary.fileOf(d.Label)
	if file != nil {
		file.Outcomes[d.Outcome]++
	}
	if d.Outcome == "ingested" || d.Outcome == "replaced" || d.Outcome == "completed" {
		summary.Tokens += d.Tokens
		summary.NGrams += d.NGrams
		if file != nil {
			file.Tokens += d.Tokens
			file.NGrams += d.NGrams
		}
	}
	if file != nil {
		return
	}
	summary.Documents = append(summary.Documents, d)
	if o.json {
		return
	}
	switch d.Outcome {
	case "unchanged":
		fmt.Fprintf(bars.lines, "unchanged %s: counted before\n", d.Label)
	case "skipped":
		fmt.Fprintf(bars.lines, "skipped %s: it holds no token\n", d.Label)
	default:
		fmt.Fprintf(bars.lines, "%s %s: %s, %s\n", d.Outcome, d.Label, plural(d.Tokens, "token", "tokens"), plural(d.NGrams, "n-gram", "n-grams"))
	}
}

// fileOf is the file whose records name the document; nil for other documents.
func (s *trainSummary) fileOf(label string) *documentSummary {
	for at, c := range label {
		if c == '#' && s.divided[label[:at]] != nil {
			return s.divided[label[:at]]
		}
	}
	return nil
}

func (a *app) reportTraining(s *trainSummary, o trainOptions) error {
	err := a.printTraining(s, o)
	if err == nil && s.Paused {
		err = pausedError{fmt.Errorf("the time was up; run the same command again to go on")}
	}
	return err
}

func (a *app) printTraining(s *trainSummary, o trainOptions) error {
	if o.json {
		return printJSON(a.out, s)
	}
	for _, d := range s.Documents {
		if d.Outcomes == nil {
			continue
		}
		var parts []string
		for _, outcome := range slices.Sorted(maps.Keys(d.Outcomes)) {
			parts = append(parts, fmt.Sprintf("%d %s", d.Outcomes[outcome], outcome))
		}
		fmt.Fprintf(a.out, "documents of %s: %s; %s, %s\n", d.Label, strings.Join(parts, ", "), plural(d.Tokens, "token", "tokens"), plural(d.NGrams, "n-gram", "n-grams"))
	}
	fmt.Fprintf(a.out, "model %q: %s, %s and %s new; stored in %s\n", s.Model,
		plural(s.number, "document", "documents"), plural(s.Tokens, "token", "tokens"), plural(s.NGrams, "n-gram", "n-grams"), s.Store)
	if b := s.Build; b != nil {
		state := "published"
		if !b.Published {
			state = "ready; publish it with: dbslm builds publish " + fmt.Sprint(b.ID)
		}
		fmt.Fprintf(a.out, "build %d: %s\n", b.ID, state)
		a.warn(b.Warnings)
	}
	return nil
}

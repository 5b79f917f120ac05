package main

import (
	"cmp"
	_ "embed" // for the report's page
	"fmt"
	"html/template"
	"slices"
	"strings"

	"dbslm/services/concept/measures"
)

//go:embed concepts_report.html
var conceptReportText string

// conceptReport is the page that shows an evaluation. Names and utterances are escaped by html/template.
var conceptReport = template.Must(template.New("report").Funcs(template.FuncMap{
	"percent": percent,
	"add":     func(a, b int) int { return a + b },
	// Plots have 400 by 300 units; both axes go from 0 to 1.
	"x":        func(share float64) string { return fmt.Sprintf("%.1f", 40+350*share) },
	"y":        func(share float64) string { return fmt.Sprintf("%.1f", 260-250*share) },
	"width":    func(share float64) string { return fmt.Sprintf("%.1f", 100*share) },
	"ticks":    func() []float64 { return []float64{0, 0.2, 0.4, 0.6, 0.8, 1} },
	"line":     thresholdLine,
	"binWidth": func() string { return fmt.Sprintf("%.1f", 350.0/measures.Bins-2) },
	"binLeft":  func(i int) string { return fmt.Sprintf("%.1f", 41+350*float64(i)/measures.Bins) },
	"height":   func(share float64) string { return fmt.Sprintf("%.1f", 250*share) },
	"meant": func(name string) string {
		if name == "" {
			return "(out of scope)"
		}
		return name
	},
	"byRecall": func(all []conceptFigures) []conceptFigures {
		all = slices.Clone(all)
		slices.SortStableFunc(all, func(a, b conceptFigures) int { return cmp.Compare(a.Recall, b.Recall) })
		return all
	},
	"lines": mistake.lines,
}).Parse(conceptReportText))

// thresholdLine is the points of a line through what thresholds do.
func thresholdLine(points []thresholdFigures, refused bool) string {
	var b strings.Builder
	for _, p := range points {
		share := p.Followed
		if refused {
			share = p.Refused
		}
		fmt.Fprintf(&b, "%.1f,%.1f ", 40+350*p.Threshold, 260-250*share)
	}
	return strings.TrimSpace(b.String())
}

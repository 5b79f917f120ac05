package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/pflag"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// explainFlags ask for the rows behind an answer.
type explainFlags struct {
	explain, sql, documents bool
	tokens                  uint32
	searchBytes             uint64
}

func (f *explainFlags) register(flags *pflag.FlagSet) {
	flags.BoolVar(&f.explain, "explain", false, "also print the rows that each probability came from")
	flags.BoolVar(&f.sql, "sql", false, "print nothing but the statements that return these rows, to be piped into a SQL client")
	flags.BoolVar(&f.documents, "documents", false, "with --explain: search the kept texts for the documents that the n-grams found occur in")
	flags.Uint32Var(&f.tokens, "explain-tokens", 100, "explain at most the first `N` tokens, up to 1000")
	flags.Uint64Var(&f.searchBytes, "search-bytes", 16<<20, "search at most `N` bytes of text for --documents, up to 1 GiB")
}

// options are what the request says; nil when nothing is to be explained.
func (f *explainFlags) options() *ngramv1.ExplainOptions {
	if !f.explain && !f.sql && !f.documents {
		return nil
	}
	return &ngramv1.ExplainOptions{MaxTokens: f.tokens, Documents: f.documents, MaxTextBytes: f.searchBytes, Sql: f.sql}
}

// protoJSON is a message as JSON with the names of the protos; null for none.
func protoJSON(m proto.Message) json.RawMessage {
	if !m.ProtoReflect().IsValid() {
		return nil
	}
	out, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil // no message of ours holds what JSON cannot say
	}
	return out
}

// printStatements prints statements as a script.
func printStatements(w io.Writer, about string, statements []*ngramv1.SqlStatement) {
	for _, s := range statements {
		fmt.Fprintf(w, "-- %s: %s\n%s\n\n", oneLine(about), s.Title, s.Statement)
	}
}

// printExplanation prints the chain of one token.
func (a *app) printExplanation(e *ngramv1.Explanation) error {
	if e == nil {
		return nil
	}
	if e.Literal {
		fmt.Fprintf(a.out, "a literal string of the request: no table holds it\n\n")
		return nil
	}
	exact := "unknown"
	if e.ExactLog10Probability != nil {
		exact = fmt.Sprintf("%.6f", *e.ExactLog10Probability)
	}
	fmt.Fprintf(a.out, "%s: log10 %.6f, p %.6g; from the counts %s; %s\n", printable(e.Token.GetText()), e.Log10Probability, e.Probability, exact, e.Path)
	rows := [][]string{{"  ORDER", "ROLE", "CONTEXT", "HASH", "CODE", "LOG10", "BACKOFF CODE", "BACKOFF", "COUNT", "ADJUSTED", "DISCOUNT", "GAMMA", "EXACT"}}
	for _, o := range e.Orders {
		var words []string
		for _, w := range o.Context {
			words = append(words, printable(w.Text))
		}
		row := []string{fmt.Sprintf("  %d", o.Order), roleName(o.Role), strings.Join(words, " "), fmt.Sprint(o.ContextHash)}
		row = append(row, stored(o.Probability != nil, o.Probability.GetCode(), o.GetProbability() != nil && o.Probability.Code != nil, o.Probability.GetLog10())...)
		row = append(row, stored(o.Backoff != nil, o.Backoff.GetCode(), o.GetBackoff() != nil && o.Backoff.Code != nil, o.Backoff.GetLog10())...)
		counts := []string{"-", "-"}
		if o.Count != nil {
			counts = []string{count(o.Count.Raw), count(o.Count.Adjusted)}
		}
		rows = append(rows, append(append(row, counts...), number(o.Discount), number(o.Gamma), number(o.ExactLog10)))
	}
	if err := table(a.out, rows); err != nil {
		return err
	}
	fmt.Fprintln(a.out)
	return nil
}

func roleName(r ngramv1.ExplainedOrder_Role) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(r.String(), "ROLE_")), "_", " ")
}

// stored are the cells of a stored logarithm: its code and its value.
func stored(row bool, code uint32, coded bool, log10 float64) []string {
	switch {
	case !row:
		return []string{"-", "-"}
	case coded:
		return []string{fmt.Sprint(code), fmt.Sprintf("%.6f", log10)}
	}
	return []string{"-", fmt.Sprintf("%.6f", log10)}
}

func number(f *float64) string {
	if f == nil {
		return "-"
	}
	return fmt.Sprintf("%.6g", *f)
}

// printSummary prints what the explanations share.
func (a *app) printSummary(s *ngramv1.ExplanationSummary) {
	if s == nil {
		return
	}
	fmt.Fprintf(a.out, "build %d, %s, storage %s, |V| %s; explained %s of %s\n", s.BuildId, s.Smoothing, s.Storage, count(s.VocabularySize),
		count(s.Explained), plural(s.Tokens, "token", "tokens"))
	if s.Formula != "" {
		fmt.Fprintln(a.out, s.Formula)
	}
	for _, p := range s.Parameters {
		if len(p.Discounts) == 3 {
			fmt.Fprintf(a.out, "order %d: D1 %.6g, D2 %.6g, D3+ %.6g\n", p.Order, p.Discounts[0], p.Discounts[1], p.Discounts[2])
		}
		if len(p.Weights) > 0 {
			fmt.Fprintf(a.out, "order %d: weights by class %.3g\n", p.Order, p.Weights)
		}
	}
	switch s.Counts {
	case ngramv1.CountState_COUNT_STATE_CHANGED:
		fmt.Fprintln(a.out, "counts changed since the build was derived: exact values are those of a build made now")
	case ngramv1.CountState_COUNT_STATE_NONE:
		fmt.Fprintln(a.out, "the model was imported and has no counts")
	}
	if s.Documents == 0 && len(s.Sources) == 0 {
		return
	}
	fmt.Fprintf(a.out, "searched %s of %s of text in %s of %s", count(s.BytesSearched), plural(s.BytesSearched, "byte", "bytes"), count(s.DocumentsSearched),
		plural(s.Documents, "document", "documents"))
	if s.DocumentsWithoutText > 0 {
		fmt.Fprintf(a.out, ", %s without text", count(s.DocumentsWithoutText))
	}
	fmt.Fprintln(a.out)
	for _, source := range s.Sources {
		var words, documents []string
		for _, w := range source.Tokens {
			words = append(words, printable(w.Text))
		}
		for _, d := range source.Most {
			documents = append(documents, fmt.Sprintf("%s (%s)", oneLine(d.Label), count(d.Occurrences)))
		}
		if more := source.Documents - uint64(len(source.Most)); more > 0 {
			documents = append(documents, count(more)+" more")
		}
		fmt.Fprintf(a.out, "  %s: %s in %s\n", strings.Join(words, " "), count(source.Count), strings.Join(documents, ", "))
	}
}

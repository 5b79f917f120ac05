package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"

	"dbslm/pkg/errors"
	"dbslm/pkg/text"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/cobra"
)

const (
	// maxLine is the longest line that score takes, in bytes.
	maxLine = 1 << 20
	// batchLines and batchBytes bound what one request carries.
	batchLines, batchBytes = 256, 1 << 20
)

// lineScore is the score of one line as it is printed.
type lineScore struct {
	File       string          `json:"file"`
	Line       int             `json:"line"`
	Text       string          `json:"text"`
	Log10      float64         `json:"log10"`
	Tokens     uint64          `json:"tokens"`
	OOV        uint64          `json:"oov"`
	Perplexity figure          `json:"perplexity"`
	Sentences  []sentenceScore `json:"sentences,omitempty"`
}

// scoring is the command in progress.
type scoring struct {
	*app
	conn     *connection
	request  *ngramv1.ScoreRequest
	explain  explainFlags
	json     bool
	encoding string

	file    string
	line    int // of the first text that waits
	texts   []string
	size    int
	summary *ngramv1.ExplanationSummary
}

func newScore(a *app) *cobra.Command {
	s := &scoring{app: a, request: &ngramv1.ScoreRequest{}}
	cmd := &cobra.Command{
		Use:   "score [FILE...]",
		Short: "Print the probability of every line of texts",
		Long: `Print for every line the log10 of its probability, its tokens (one end of sentence for each sentence counted),
how many of them are unknown, its perplexity, and the line. Without a file, or with "-", standard input is read.
With --json every line gives a line of JSON. A line of more than 1 MiB, or one that its encoding does not allow, ends the
command with exit code 2 and names the file and the place; the lines before it were printed.`,
		Example: `  dbslm score sentences.txt
  echo "The harbour is closed." | dbslm score --tokens
  dbslm score sentences.txt --json --model harbour
  echo "The harbour is closed." | dbslm score --explain --documents
  echo "The harbour is closed." | dbslm score --sql > rows.sql`,
		RunE: func(cmd *cobra.Command, args []string) error {
			inputs := []input{}
			if len(args) == 0 {
				args = []string{"-"}
			}
			for _, arg := range args {
				in := input{label: stdinLabel, from: a.in}
				if arg != "-" {
					var err error
					if in, err = oneFile(arg); err != nil {
						return err
					}
				}
				inputs = append(inputs, in)
			}
			s.request.Tenant, s.request.Explain = a.tenant, s.explain.options()
			return a.with(cmd.Context(), false, func(conn *connection) error {
				s.conn = conn
				for _, in := range inputs {
					if err := s.input(cmd.Context(), in); err != nil {
						return err
					}
				}
				return s.end()
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&s.request.Model, "model", "default", "`name` of the model")
	flags.Uint32Var(&s.request.BuildId, "build", 0, "`number` of the build; 0 is the published one")
	flags.BoolVar(&s.request.Tokens, "tokens", false, "print every token with its log10 probability and the length of the n-gram found")
	flags.StringVar(&s.encoding, "encoding", "utf-8", "encoding of the texts, by `name`; a byte order mark wins")
	flags.BoolVar(&s.json, "json", false, "print a line of JSON for each line")
	s.explain.register(flags)
	return cmd
}

// input scores the lines of one text.
func (s *scoring) input(ctx context.Context, in input) error {
	s.file, s.line = in.label, 1
	var from io.Reader
	if in.from != nil {
		decoded, err := text.Decode(interruptible(ctx, in.from), s.encoding, in.label)
		if err != nil {
			return err
		}
		from = decoded
	} else {
		opened, err := in.open(s.encoding)
		if err != nil {
			return err
		}
		defer opened.Close()
		from = opened
	}
	var fault error // of reading; what stands before it on its line is no line
	lines := bufio.NewScanner(readerFunc(func(p []byte) (int, error) {
		n, err := from.Read(p)
		if err != nil && err != io.EOF {
			fault = err
		}
		return n, err
	}))
	lines.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if atEOF && fault != nil && bytes.IndexByte(data, '\n') < 0 {
			return len(data), nil, nil
		}
		return bufio.ScanLines(data, atEOF)
	})
	lines.Buffer(make([]byte, 0, 64<<10), maxLine+2)
	batch := batchLines
	if in.from != nil && terminal(in.from) {
		batch = 1 // somebody waits
	}
	for lines.Scan() {
		if len(lines.Bytes()) > maxLine {
			return s.tooLong()
		}
		if len(s.texts) > 0 && s.size+len(lines.Bytes()) > batchBytes {
			if err := s.flush(ctx); err != nil {
				return err
			}
		}
		s.texts, s.size = append(s.texts, lines.Text()), s.size+len(lines.Bytes())
		if len(s.texts) == batch {
			if err := s.flush(ctx); err != nil {
				return err
			}
		}
	}
	failed := lines.Err()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := s.flush(ctx); err != nil { // what came before the fault
		return err
	}
	switch {
	case errors.Is(failed, bufio.ErrTooLong):
		return s.tooLong()
	case failed != nil:
		return textError(failed, in.label)
	}
	return nil
}

func (s *scoring) tooLong() error {
	return usagef("%s: line %d is longer than 1 MiB; break it up, or use dbslm eval for a whole text", s.file, s.line+len(s.texts))
}

// flush scores the lines that wait.
func (s *scoring) flush(ctx context.Context) error {
	if len(s.texts) == 0 {
		return nil
	}
	s.request.Texts = s.texts
	got, err := ngramv1.NewInferenceServiceClient(s.conn).Score(ctx, s.request)
	if err != nil {
		return err
	}
	for i, score := range got.Scores {
		if err := s.print(s.line+i, s.texts[i], score); err != nil {
			return err
		}
	}
	s.line += len(s.texts)
	s.texts, s.size = nil, 0
	if got.Explained != nil {
		s.explained(got.Explained)
	}
	return nil
}

func (s *scoring) print(line int, written string, score *ngramv1.TextScore) error {
	perplexity := figure(math.NaN())
	if score.Tokens > 0 {
		perplexity = figure(math.Pow(10, -score.Log10Probability/float64(score.Tokens)))
	}
	if s.explain.sql {
		for _, sentence := range score.Sentences {
			s.printTokenStatements(sentence)
		}
		return nil
	}
	if s.json {
		result := lineScore{s.file, line, written, score.Log10Probability, score.Tokens, score.Oov, perplexity, nil}
		if s.request.Tokens || s.request.Explain != nil {
			for _, sentence := range score.Sentences {
				result.Sentences = append(result.Sentences, scoreOf(sentence))
			}
		}
		encoder := json.NewEncoder(s.out)
		encoder.SetEscapeHTML(false)
		return encoder.Encode(result)
	}
	fmt.Fprintf(s.out, "%.6f\t%d\t%d\t%.3f\t%s\n", score.Log10Probability, score.Tokens, score.Oov, float64(perplexity), strings.ToValidUTF8(written, "\uFFFD"))
	for _, sentence := range score.Sentences {
		if err := s.printSentence(sentence, s.request.Tokens); err != nil {
			return err
		}
	}
	return nil
}

// explained keeps what the explanations share. The limits hold for all lines together.
func (s *scoring) explained(summary *ngramv1.ExplanationSummary) {
	if s.summary == nil {
		s.summary = summary
	} else {
		s.summary.Tokens += summary.Tokens
		s.summary.Explained += summary.Explained
		s.summary.Sources = append(s.summary.Sources, summary.Sources...)
	}
	if left := int64(s.explain.tokens) - int64(s.summary.Explained); left > 0 {
		s.request.Explain.MaxTokens = uint32(left)
	} else {
		s.request.Explain = nil
	}
}

// end prints what stands below all lines.
func (s *scoring) end() error {
	switch {
	case s.summary == nil:
	case s.explain.sql:
		printStatements(s.out, fmt.Sprintf("build %d", s.summary.BuildId), s.summary.Statements)
	case s.json:
		return json.NewEncoder(s.out).Encode(map[string]json.RawMessage{"explained": protoJSON(s.summary)})
	default:
		s.printSummary(s.summary)
	}
	return nil
}

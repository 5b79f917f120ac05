package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/pflag"
)

// maxProbe bounds the text to probe with in bytes, as the API does.
const maxProbe = 1 << 20

// probing are the flags that have the counts measured while they grow.
type probing struct {
	file, every, metrics string
}

func (p *probing) register(flags *pflag.FlagSet) {
	flags.StringVar(&p.file, "probe", "", "held-out text in a `file`, at most 1 MiB: measure on it how the counts do while they grow")
	flags.StringVar(&p.every, "every", "", "with --probe: measure after every `N` documents, or tokens as 500000tokens (default at the end)")
	flags.StringVar(&p.metrics, "metrics", "", "with --probe: append every measure to a `file`, a line of JSON each")
}

// interval reads --every.
func (p *probing) interval() (documents uint32, tokens uint64, err error) {
	number, ofTokens := strings.CutSuffix(p.every, "tokens")
	if p.every == "" {
		return 0, 0, nil
	}
	n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 63)
	switch {
	case err != nil || n < 1, !ofTokens && n > 1<<31, n > 1_000_000_000_000:
		return 0, 0, usagef("--every %q is impossible; give a number of documents, as 100, or of tokens, as 500000tokens", p.every)
	case ofTokens:
		return 0, n, nil
	}
	return uint32(n), 0, nil
}

// probeInput finds the text and checks the flags. The cleanup is never nil.
func (a *app) probeInput(ctx context.Context, o trainOptions) (in input, cleanup func(), err error) {
	if o.probe.file == "" {
		if o.probe.every != "" || o.probe.metrics != "" {
			err = usagef("--every and --metrics need a text to measure on; name it with --probe")
		}
		return in, func() {}, err
	}
	if _, _, err := o.probe.interval(); err != nil {
		return in, func() {}, err
	}
	if o.probe.file == "-" {
		return in, func() {}, usagef("--probe needs a file; standard input is for texts to train on")
	}
	return a.evalInput(ctx, o.probe.file, o.reading)
}

// options are what is asked of the service; nil without --probe.
func (p *probing) options(in input, encoding string) (*ngramv1.ProbeOptions, error) {
	if p.file == "" {
		return nil, nil
	}
	documents, tokens, err := p.interval()
	if err != nil {
		return nil, err
	}
	r, err := in.open(encoding)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var text bytes.Buffer
	if _, err := io.Copy(&text, io.LimitReader(r, maxProbe+1)); err != nil {
		return nil, textError(err, in.label)
	}
	if text.Len() > maxProbe {
		return nil, usagef("%s holds more than %d bytes of text; hold out a part of it", in.label, maxProbe)
	}
	return &ngramv1.ProbeOptions{Text: text.Bytes(), EveryDocuments: documents, EveryTokens: tokens}, nil
}

// metric is a measure as it is printed.
type metric struct {
	Time                   time.Time `json:"time"`
	Model                  string    `json:"model"`
	Documents              uint64    `json:"documents"`
	Tokens                 uint64    `json:"tokens"`
	CountsVersion          uint64    `json:"counts_version"`
	Sentences              uint64    `json:"probe_sentences"`
	Events                 uint64    `json:"probe_tokens"`
	OOV                    uint64    `json:"oov"`
	Log10                  float64   `json:"log10"`
	PerplexityIncludingOOV figure    `json:"perplexity_including_oov"`
	PerplexityExcludingOOV figure    `json:"perplexity_excluding_oov"`
}

func summariseProbe(model string, p *ngramv1.IngestProbe) metric {
	return metric{
		Time: time.Now().UTC().Truncate(time.Second), Model: model, Documents: p.Documents, Tokens: p.Tokens, CountsVersion: p.CountsVersion,
		Sentences: p.Sentences, Events: p.Events, OOV: p.Oov, Log10: p.Log10,
		PerplexityIncludingOOV: figure(p.PerplexityIncludingOov), PerplexityExcludingOOV: figure(p.PerplexityExcludingOov),
	}
}

func (m metric) print(out io.Writer) {
	fmt.Fprintf(out, "probe after %s, %s: perplexity %.3f, without unknown tokens %.3f (%d of %d unknown)\n", plural(m.Documents, "document", "documents"),
		plural(m.Tokens, "token", "tokens"), float64(m.PerplexityIncludingOOV), float64(m.PerplexityExcludingOOV), m.OOV, m.Events)
}

// metrics is a file of lines of JSON; without a file it takes them and does nothing.
type metrics struct{ file *os.File }

func (p *probing) open() (*metrics, error) {
	if p.metrics == "" {
		return &metrics{}, nil
	}
	path, err := expandHome(p.metrics)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, usagef("cannot write %s: %v", path, reason(err))
	}
	return &metrics{f}, nil
}

// write appends a line, at once, so that others can follow the file.
func (m *metrics) write(line metric) error {
	if m.file == nil {
		return nil
	}
	data, err := json.Marshal(line)
	if err != nil {
		return err
	}
	if _, err := m.file.Write(append(data, '\n')); err != nil {
		return errors.Wrap(err, errors.Unavailable, "METRICS_NOT_WRITTEN", "%s cannot be written: %v", m.file.Name(), reason(err))
	}
	return nil
}

func (m *metrics) close() {
	if m.file != nil {
		_ = m.file.Close() // each line was written when it came
	}
}

package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"time"

	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// chunkSize is how much text one message carries, in bytes.
const chunkSize = 256 << 10

// trainOptions are the flags of train.
type trainOptions struct {
	model, tokenizer, normalization, unk string
	reading
	estimation
	probe                                                  probing
	order                                                  int
	weight                                                 uint32
	replace, dropText                                      bool
	orderGiven                                             bool
	recursive, stdin, reset, yes, noBuild, noPublish, json bool
	dryRun                                                 bool
	label                                                  string // of standard input
	maxRuntime                                             time.Duration
}

func newTrain(a *app) *cobra.Command {
	o := trainOptions{}
	cmd := &cobra.Command{
		Use:   "train [PATH...]",
		Short: "Count texts, derive a build and publish it",
		Long: `Count texts into a model, derive a build from all its counts, and publish the build. A file of any extension is
text, packed with gzip or zstd if you like; a directory means its *.txt files. Files of JSON, NDJSON and CSV hold
dialogues: a mapping beside them, as data.mapping.yaml, says what to read of them (docs/formats.md). All inputs are
read to their end before anything is counted; what is malformed is refused with its place, and nothing is imported.

Training adds to what is there; a text that was counted before under the same label changes nothing, and other text
under it is refused unless --replace is given. Order, tokeniser and normalisation are fixed when the model is made and
enforced after.

With --dry-run nothing is stored and no store opened: the texts are counted and estimated in memory, and the command
prints n-grams, discounts, about how large the store would be, and how well the model predicts the text of --probe.

Counting and the build take about --memory, whatever the size of the text, beside the words of the vocabulary: counting
goes by smaller steps, and what a build keeps beyond a third of it is in a temporary file (in $TMPDIR). Pruning takes more.

Interrupted at any moment, the command completes when it is run again. With --max-runtime it stops by itself at a
checkpoint and exits with 3; run again, it goes on. A build is derived only if counts or options changed. Levels 2 and 3
are never touched.`,
		Example: `  dbslm train books/ --recursive
  dbslm train corpus.txt --model harbour --order 5 --storage exact
  dbslm train notes.txt.gz tickets.ndjson --mapping tickets.mapping.yaml
  dbslm train letters/ --probe heldout.txt --every 100 --metrics metrics.ndjson
  dbslm train books/ --recursive --order 5 --dry-run --probe chapter.txt
  dbslm train large.txt.zst --order 5 --memory 256MiB
  curl -s https://example.org/page.txt | dbslm train - --label page
  dbslm train corpus.txt --reset`,
		Annotations: map[string]string{afterInterrupt: "; run the same command again to complete what was begun"},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.orderGiven = cmd.Flags().Changed("order")
			return a.train(cmd.Context(), args, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.model, "model", "default", "`name` of the model; made when missing")
	flags.IntVar(&o.order, "order", 0, "longest n-gram: `N` tokens, 1 to 255 (default 3, or the model's own; 6 reads best); also --ngram-order")
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "ngram-order" {
			name = "order"
		}
		return pflag.NormalizedName(name)
	})
	flags.StringVar(&o.tokenizer, "tokenizer", "", "`kind` of tokens: words, whitespace or bytes (default words, or the model's own)")
	flags.StringVar(&o.normalization, "normalization", "", "Unicode `form` of the text: nfc, nfkc or none (default nfc, or the model's own)")
	flags.StringVar(&o.unk, "unk", "", "`policy` for <unk>, <s> and </s> as tokens of the text: reserved (refused) or literal (words) (default reserved)")
	o.reading.register(flags)
	flags.BoolVar(&o.replace, "replace", false, "let a text take the place of other text, or of another weight, under its label")
	flags.Uint32Var(&o.weight, "weight", 1, "count every text `N` times, 1 to 1000000")
	flags.BoolVar(&o.dropText, "drop-text", false, "do not keep the texts; who wants them forgotten or replaced must send them again")
	flags.BoolVar(&o.recursive, "recursive", false, "look for *.txt below directories too")
	flags.BoolVar(&o.stdin, "stdin", false, "also read a text from standard input; so does the path \"-\"")
	flags.StringVar(&o.label, "label", stdinLabel, "label of the text on standard input: a `name` in the model")
	flags.BoolVar(&o.reset, "reset", false, "empty the model first; its build serves until the new one is published")
	flags.BoolVar(&o.yes, "yes", false, "do not ask before --reset")
	o.estimation.register(flags)
	o.registerMemory(flags)
	flags.BoolVar(&o.noBuild, "no-build", false, "only count")
	flags.BoolVar(&o.noPublish, "no-publish", false, "derive a build but let the old one serve")
	flags.DurationVar(&o.maxRuntime, "max-runtime", 0, "stop at a checkpoint after so `long`, as 90s or 2h; the same command goes on")
	flags.BoolVar(&o.dryRun, "dry-run", false, "only count and estimate in memory, and say what would be stored; looks at no model")
	flags.BoolVar(&o.json, "json", false, "print a JSON summary")
	o.probe.register(flags)
	return cmd
}

// modelNames are the names that a model may have, as the API says.
var modelNames = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// header is the first message of the training. It checks the flags.
func (o trainOptions) header(a *app) (*gatewayv1.TrainHeader, error) {
	if o.orderGiven && (o.order < 1 || o.order > ngram.MaxOrder) {
		return nil, usagef("--order %d is impossible; an order is 1 to %d", o.order, ngram.MaxOrder)
	}
	if !modelNames.MatchString(o.model) {
		return nil, usagef("--model %q cannot name a model; use at most 128 letters, digits, '.', '_' and '-', beginning with a letter or digit", o.model)
	}
	if o.weight < 1 || o.weight > ngram.MaxWeight {
		return nil, usagef("--weight %d is impossible; a weight is 1 to %d", o.weight, ngram.MaxWeight)
	}
	settings := &ngramv1.ModelSettings{Order: uint32(o.order)}
	var err error
	if settings.Tokenizer, err = parseName("tokenizer", o.tokenizer, tokenizers); err != nil {
		return nil, err
	}
	if settings.Normalization, err = parseName("normalization", o.normalization, normalizations); err != nil {
		return nil, err
	}
	if settings.UnkPolicy, err = parseName("unk", o.unk, unkPolicies); err != nil {
		return nil, err
	}
	storage, smoothing, pruning, err := o.choose()
	if err != nil {
		return nil, err
	}
	limit, err := seconds(o.maxRuntime)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.TrainHeader{
		Ingest: &ngramv1.IngestHeader{
			Tenant: a.tenant, Model: o.model, Settings: settings, Trainer: trainerName(), DropText: o.dropText, KeepRunning: a.server != "", MaxRuntimeSeconds: limit,
			MemoryBytes: uint64(o.memory),
		},
		Reset_: o.reset, NoBuild: o.noBuild, NoPublish: o.noPublish, Storage: storage, Smoothing: smoothing, Pruning: pruning,
	}, nil
}

// trainerName tells others who holds a model.
func trainerName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("%s (process %d)", host, os.Getpid())
}

func (a *app) train(ctx context.Context, args []string, o trainOptions) error {
	header, err := o.header(a)
	if err != nil {
		return err
	}
	inputs, cleanup, err := a.trainInputs(ctx, args, o)
	defer cleanup()
	if err != nil {
		return err
	}
	probed, cleanup, err := a.probeInput(ctx, o)
	defer cleanup()
	if err != nil {
		return err
	}
	if o.dryRun {
		return a.dryTrain(ctx, header, inputs, probed, o)
	}
	defer o.within(a)()
	return a.with(ctx, true, func(conn *connection) error {
		model, err := a.findModel(ctx, conn, o.model)
		if err != nil {
			return err
		}
		settings := settingsFor(header, model, o.reset)
		if cutoffs, order := len(header.Pruning.GetCutoffs()), orderFor(header, model, o.reset); cutoffs > order {
			return usagef("--cutoffs: %d counts for a model of order %d; give one for each order at most", cutoffs, order)
		}
		inputs = laidOut(inputs, settings.Tokenizer)
		if err := checkTokens(ctx, inputs, settings, o.encoding); err != nil {
			return err
		}
		if header.Ingest.Probe, err = o.probe.options(laidOut([]input{probed}, settings.Tokenizer)[0], o.encoding); err != nil {
			return err
		}
		if o.reset && model != nil {
			if err := a.confirmReset(ctx, o, conn, model); err != nil {
				return err
			}
		}
		return a.runTraining(ctx, conn, header, inputs, o)
	})
}

// trainInputs finds and checks every text before anything is changed. The cleanup is never nil.
func (a *app) trainInputs(ctx context.Context, args []string, o trainOptions) (usable []input, cleanup func(), err error) {
	var removals []func()
	cleanup = func() {
		for _, remove := range removals {
			remove()
		}
	}
	if slices.Contains(args, "-") {
		o.stdin = true
		args = slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return arg == "-" })
	}
	if o.label != stdinLabel && !o.stdin {
		return nil, cleanup, usagef("--label names the text on standard input; add --stdin, or leave it out: a file is named by its path")
	}
	if o.label == "" {
		return nil, cleanup, usagef("--label is empty; give the text a name")
	}
	if len(args) == 0 && !o.stdin {
		return nil, cleanup, usagef("nothing to train on: name files or directories, or use --stdin; see: dbslm train --help")
	}
	inputs, err := findInputs(args, o.recursive, o.reading)
	if err != nil {
		return nil, cleanup, err
	}
	if o.stdin {
		in := input{label: o.label, from: a.in}
		if err := checkLabel(in.label); err != nil {
			return nil, cleanup, err
		}
		if err := o.recognise(&in); err != nil {
			return nil, cleanup, err
		}
		inputs = append(inputs, in)
	}
	for i, in := range inputs {
		var remove func()
		inputs[i], remove, err = in.spooled(ctx)
		removals = append(removals, remove)
		if err != nil {
			return nil, cleanup, err
		}
	}
	usable, err = a.checkTexts(ctx, inputs, o.encoding)
	if err == nil && len(usable) == 0 {
		err = usagef("nothing to train on: none of the inputs holds text")
	}
	return usable, cleanup, err
}

// checkTexts reads every text to its end and returns those that hold one.
func (a *app) checkTexts(ctx context.Context, inputs []input, encoding string) (usable []input, err error) {
	bars := newProgress(a.streams)
	var notes []func() // for when the bars are gone
	defer func() {
		bars.close()
		for _, note := range notes {
			note()
		}
	}()
	var passed, total uint64
	for _, in := range inputs {
		total += uint64(in.size)
	}
	for _, in := range inputs {
		found, err := in.checkText(ctx, encoding, &passed, func() { bars.set("checking", passed, total, true) })
		if err != nil {
			return nil, err
		}
		notes = append(notes, func() { a.warnOfNULs(in, found) })
		if found.blank {
			notes = append(notes, func() { fmt.Fprintf(a.err, "skipped %s: it holds no text\n", in.label) })
			continue
		}
		in.text = found.bytes
		usable = append(usable, in)
	}
	return usable, nil
}

// findModel returns the named model, or nil when there is none yet.
func (a *app) findModel(ctx context.Context, conn *connection, name string) (*ngramv1.Model, error) {
	resp, err := ngramv1.NewModelServiceClient(conn).GetModel(ctx, &ngramv1.GetModelRequest{Tenant: a.tenant, Model: name})
	if errors.KindOf(err) == errors.NotFound {
		return nil, nil
	}
	return resp.GetModel(), err
}

func (a *app) confirmReset(ctx context.Context, o trainOptions, conn *connection, model *ngramv1.Model) error {
	what := fmt.Sprintf("model %q in %s (%s, %s)", o.model, conn.where,
		plural(model.Documents, "document", "documents"), plural(model.Tokens, "token", "tokens"))
	switch {
	case o.yes:
		return nil
	case conn.remote:
		return usagef("--reset would empty %s; repeat the command with --yes to do that", what)
	case terminal(a.in):
		yes, err := confirm(ctx, a.streams, "Empty "+what+"?")
		if err == nil && !yes {
			return usagef("nothing was changed")
		}
		return err
	}
	return nil
}

func (a *app) runTraining(ctx context.Context, conn *connection, header *gatewayv1.TrainHeader, inputs []input, o trainOptions) error {
	metrics, err := o.probe.open()
	if err != nil {
		return err
	}
	defer metrics.close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stream, err := conn.gateway.Train(ctx)
	if err != nil {
		return err
	}
	go func() {
		if err := sendTraining(stream, header, inputs, o); err != nil {
			cancel(err)
		}
	}()
	summary := &trainSummary{Model: o.model, Store: conn.where, Documents: []*documentSummary{}, divided: map[string]*documentSummary{}}
	for _, in := range inputs {
		if in.dialogues.divided() {
			summary.divided[in.label] = &documentSummary{Label: in.label, Outcomes: map[string]uint64{}}
			summary.Documents = append(summary.Documents, summary.divided[in.label])
		}
	}
	if err := a.receiveTraining(stream, inputs, summary, metrics, o); err != nil {
		if ctx.Err() != nil {
			for _, job := range summary.jobs {
				a.cancelJob(ctx, conn, job)
			}
		}
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
			return cause
		}
		return err
	}
	return a.reportTraining(summary, o)
}

// sendTraining streams every text. It ends quietly when the server ended first: its status says why.
func sendTraining(stream gatewayv1.GatewayService_TrainClient, header *gatewayv1.TrainHeader, inputs []input, o trainOptions) error {
	send := func(m *gatewayv1.TrainRequest) error { return stream.Send(m) }
	err := send(&gatewayv1.TrainRequest{Part: &gatewayv1.TrainRequest_Header{Header: header}})
	for i := 0; err == nil && i < len(inputs); i++ {
		size := uint64(inputs[i].text)
		if inputs[i].dialogues.divided() {
			size = 0
		}
		err = inputs[i].documents(o.encoding, func(label string, weight uint32, text io.Reader) error {
			if weight == 0 || inputs[i].dialogues.mapping.Weight == "" {
				weight = o.weight
			}
			return sendDocument(send, &ngramv1.DocumentStart{Label: label, SizeBytes: size, Weight: weight, Replace: o.replace}, text)
		})
	}
	if err == io.EOF {
		return nil
	}
	if err != nil {
		return err
	}
	return stream.CloseSend()
}

func sendDocument(send func(*gatewayv1.TrainRequest) error, start *ngramv1.DocumentStart, text io.Reader) error {
	if err := send(&gatewayv1.TrainRequest{Part: &gatewayv1.TrainRequest_Start{Start: start}}); err != nil {
		return err
	}
	hash := sha256.New()
	for {
		buf := make([]byte, chunkSize) // gRPC may keep it after Send
		n, err := io.ReadFull(text, buf)
		if n > 0 {
			hash.Write(buf[:n])
			if err := send(&gatewayv1.TrainRequest{Part: &gatewayv1.TrainRequest_Chunk{Chunk: buf[:n]}}); err != nil {
				return err
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			end := &ngramv1.DocumentEnd{Sha256: hash.Sum(nil)}
			return send(&gatewayv1.TrainRequest{Part: &gatewayv1.TrainRequest_End{End: end}})
		}
		if err != nil {
			return textError(err, start.Label)
		}
	}
}

var outcomes = map[ngramv1.DocumentAcknowledged_Outcome]string{
	ngramv1.DocumentAcknowledged_OUTCOME_COUNTED:   "ingested",
	ngramv1.DocumentAcknowledged_OUTCOME_UNCHANGED: "unchanged",
	ngramv1.DocumentAcknowledged_OUTCOME_REPLACED:  "replaced",
	ngramv1.DocumentAcknowledged_OUTCOME_EMPTY:     "skipped",
}

func (a *app) receiveTraining(stream gatewayv1.GatewayService_TrainClient, inputs []input, summary *trainSummary, metrics *metrics, o trainOptions) error {
	bars := newProgress(a.streams)
	defer bars.close()
	var total, done uint64
	resumed := map[string]bool{}
	for _, in := range inputs {
		total += uint64(in.text)
	}
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch event := resp.Event.(type) {
		case *gatewayv1.TrainResponse_Paused:
			summary.Paused = true
		case *gatewayv1.TrainResponse_BuildJobId:
			summary.jobs = []string{event.BuildJobId}
		case *gatewayv1.TrainResponse_Opened:
			summary.jobs = []string{event.Opened.JobId}
			for _, label := range event.Opened.ResumedLabels {
				resumed[label] = true
			}
			if n := len(resumed); n > 0 {
				fmt.Fprintf(a.err, "completing %s that an earlier run left unfinished\n", plural(n, "document", "documents"))
			}
		case *gatewayv1.TrainResponse_Progress:
			bars.set("counting", done+event.Progress.BytesDone, total, true)
		case *gatewayv1.TrainResponse_Acknowledged:
			done += event.Acknowledged.GetDocument().GetSizeBytes()
			bars.set("counting", done, total, true)
			a.document(bars, summary, event.Acknowledged, resumed[event.Acknowledged.Label], o)
		case *gatewayv1.TrainResponse_Probe:
			m := summariseProbe(o.model, event.Probe)
			summary.Probe = &m
			if !o.json {
				m.print(bars.lines)
			}
			if err := metrics.write(m); err != nil {
				return err
			}
		case *gatewayv1.TrainResponse_BuildProgress:
			bars.set("build: "+event.BuildProgress.Phase, event.BuildProgress.Done, event.BuildProgress.Total, false)
		case *gatewayv1.TrainResponse_Build:
			summary.Build = summarise(event.Build)
		}
	}
}

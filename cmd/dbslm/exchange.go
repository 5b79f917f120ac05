package main

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"

	"github.com/klauspost/compress/zstd"
	"github.com/spf13/cobra"
)

// formats are the file formats of models.
var formats = map[string]ngramv1.ExchangeFormat{
	"arpa":   ngramv1.ExchangeFormat_EXCHANGE_FORMAT_ARPA,
	"counts": ngramv1.ExchangeFormat_EXCHANGE_FORMAT_COUNTS_TSV,
}

// formatOf is the format that is given, or the one that the name of a file tells.
func formatOf(given, path string) (ngramv1.ExchangeFormat, error) {
	if given != "" {
		return parseName("format", given, formats)
	}
	name := strings.ToLower(filepath.Base(path))
	for _, compressed := range []string{".gz", ".zst"} {
		name = strings.TrimSuffix(name, compressed)
	}
	switch filepath.Ext(name) {
	case ".tsv", ".counts", ".count":
		return ngramv1.ExchangeFormat_EXCHANGE_FORMAT_COUNTS_TSV, nil
	}
	return ngramv1.ExchangeFormat_EXCHANGE_FORMAT_ARPA, nil
}

// exportSummary is what an export wrote.
type exportSummary struct {
	Model  string `json:"model"`
	Format string `json:"format"`
	File   string `json:"file"`
	Bytes  uint64 `json:"bytes"` // before compression
}

func newExport(a *app) *cobra.Command {
	req := &ngramv1.ExportModelRequest{}
	var format string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Write a build as an ARPA file for other toolkits, or the counts of a model",
		Long: `Write the published build of a model, or another one, as an ARPA file: base-ten logarithms of probabilities and
backoff weights as they are stored, which other toolkits read. With --format counts, write every n-gram with the
number of its occurrences instead; from such a file the same builds can be derived again.

"-" is standard output. A name ending in .gz or .zst is compressed; one ending in .tsv or .counts has counts. The
file appears when it is complete.`,
		Example: `  dbslm export model.arpa
  dbslm export model.arpa.gz --model harbour --build 3
  dbslm export harbour.tsv --model harbour --json`,
		Args: oneArg("the file to write"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if req.Format, err = formatOf(format, args[0]); err != nil {
				return err
			}
			if asJSON && args[0] == "-" {
				return usagef("--json and a file on standard output cannot be told apart; name a file")
			}
			req.Tenant = a.tenant
			return a.with(cmd.Context(), false, func(conn *connection) error {
				written, err := a.export(cmd.Context(), conn, req, args[0])
				if err != nil || args[0] == "-" {
					return err
				}
				summary := exportSummary{req.Model, nameOf(req.Format, formats), args[0], written}
				if asJSON {
					return printJSON(a.out, summary)
				}
				_, err = fmt.Fprintf(a.out, "%s of model %q: %s written to %s\n", summary.Format, req.Model, plural(written, "byte", "bytes"), args[0])
				return err
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&req.Model, "model", "default", "`name` of the model")
	flags.Uint32Var(&req.BuildId, "build", 0, "`number` of the build; 0 is the published one")
	flags.StringVar(&format, "format", "", "`kind` of file: arpa or counts (default: as the file's name tells, else arpa)")
	flags.BoolVar(&asJSON, "json", false, "print a JSON summary")
	return cmd
}

// export writes the file, which appears under its name when it is complete.
func (a *app) export(ctx context.Context, conn *connection, req *ngramv1.ExportModelRequest, path string) (written uint64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // a file that cannot be written ends the stream
	stream, err := ngramv1.NewExchangeServiceClient(conn).ExportModel(ctx, req)
	if err != nil {
		return 0, err
	}
	first, err := stream.Recv() // an error comes before anything is made
	if err != nil {
		return 0, err
	}
	out := a.out
	if path != "-" {
		if path, err = expandHome(path); err != nil {
			return 0, err
		}
		file, complete, err := newFile(path)
		if err != nil {
			return 0, usagef("cannot write %s: %v", path, reason(err))
		}
		defer func() {
			before := err
			if err = complete(err); before == nil && err != nil {
				err = usagef("cannot write %s: %v", path, reason(err))
			}
		}()
		out = file
	}
	compressed, finish, err := compress(out, path)
	if err != nil {
		return 0, err
	}
	bars := newProgress(a.streams)
	defer bars.close()
	for chunk := first; ; {
		if _, err := compressed.Write(chunk.Chunk); err != nil {
			return written, usagef("cannot write %s: %v", path, reason(err))
		}
		written += uint64(len(chunk.Chunk))
		bars.set("writing", written, 0, true)
		if chunk, err = stream.Recv(); err == io.EOF {
			return written, finish()
		} else if err != nil {
			return written, err
		}
	}
}

// newFile makes a file that appears under its name when complete is called without an error, and not at all with one. A
// device or pipe is written as it is.
func newFile(path string) (file *os.File, complete func(error) error, err error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		return file, func(err error) error { return cmp.Or(err, file.Close()) }, err
	}
	partial := path + ".partial"
	file, err = os.Create(partial)
	return file, func(err error) error {
		if err = cmp.Or(err, file.Close()); err == nil {
			err = os.Rename(partial, path)
		}
		if err != nil {
			_ = os.Remove(partial)
		}
		return err
	}, err
}

// compress compresses as the name of the file tells. finish must be called in the end.
func compress(w io.Writer, path string) (io.Writer, func() error, error) {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".gz":
		z := gzip.NewWriter(w)
		return z, z.Close, nil
	case ".zst":
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	b := bufio.NewWriterSize(w, chunkSize)
	return b, b.Flush, nil
}

// importOptions are the flags of import.
type importOptions struct {
	header                                    ngramv1.ImportModelHeader
	format, tokenizer, normalization, storage string
	order                                     int
	json                                      bool
}

func newImport(a *app) *cobra.Command {
	o := &importOptions{}
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Make a model of an ARPA file or of a table of counts",
		Long: `Make a new model of an ARPA file that another toolkit wrote, with the same scores, or of a table of counts, and
publish its build. The file may be compressed with gzip or zstd; "-" reads standard input. A file that is malformed
or cut off is refused with the line, the column and what was expected there, and nothing is made.

An ARPA file has no counts: its model scores and writes, but cannot be trained, forget a text or be built again. The
probabilities of a file with --storage 8 or 16 are rounded to the nearest codes.`,
		Example: `  dbslm import model.arpa --model kenlm --storage exact
  dbslm import model.arpa.gz --model other --same-vocabulary-as kenlm
  dbslm import harbour.tsv --model harbour --tokenizer words --normalization nfc`,
		Args: oneArg("the file to read"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(a, args[0], cmd.Flags().Changed("order")); err != nil {
				return err
			}
			in := input{label: stdinLabel, from: a.in}
			if args[0] != "-" {
				var err error
				if in, err = oneFile(args[0]); err != nil {
					return err
				}
			}
			return a.with(cmd.Context(), true, func(conn *connection) error {
				resp, err := a.importModel(cmd.Context(), conn, &o.header, in)
				if err != nil {
					return err
				}
				if o.json {
					return printJSON(a.out, summarise(resp.Build))
				}
				fmt.Fprintf(a.out, "model %q: order %d, %s\n", resp.Model.Name, resp.Build.Order, plural(resp.Build.VocabularySize, "word", "words"))
				return a.printBuild(resp.Build, false)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.header.Model, "model", "default", "`name` of the new model")
	flags.StringVar(&o.format, "format", "", "`kind` of file: arpa or counts (default: as the file's name tells, else arpa)")
	flags.StringVar(&o.storage, "storage", "8", "`bits` of a stored probability: 8, 16 or exact")
	flags.IntVar(&o.order, "order", 0, "refuse an ARPA file of another order than `N`, or counts of a higher one (default: any)")
	flags.StringVar(&o.tokenizer, "tokenizer", "", "`kind` of the file's tokens: words, whitespace or bytes (default whitespace)")
	flags.StringVar(&o.normalization, "normalization", "", "Unicode `form` of texts: nfc, nfkc or none (default none)")
	flags.StringVar(&o.header.VocabularyOf, "same-vocabulary-as", "", "refuse a file with other words than the model of this `name`")
	flags.BoolVar(&o.json, "json", false, "print the build as JSON")
	return cmd
}

// complete checks the flags.
func (o *importOptions) complete(a *app, path string, orderGiven bool) (err error) {
	if orderGiven && (o.order < 1 || o.order > ngram.MaxOrder) {
		return usagef("--order %d is impossible; an order is 1 to %d", o.order, ngram.MaxOrder)
	}
	if !modelNames.MatchString(o.header.Model) {
		return usagef("--model %q cannot name a model; use at most 128 letters, digits, '.', '_' and '-', beginning with a letter or digit", o.header.Model)
	}
	settings := &ngramv1.ModelSettings{Order: uint32(o.order)}
	o.header.Tenant, o.header.Settings = a.tenant, settings
	if settings.Tokenizer, err = parseName("tokenizer", o.tokenizer, tokenizers); err != nil {
		return err
	}
	if settings.Normalization, err = parseName("normalization", o.normalization, normalizations); err != nil {
		return err
	}
	if o.header.Storage, err = parseName("storage", o.storage, storages); err != nil {
		return err
	}
	o.header.Format, err = formatOf(o.format, path)
	return err
}

func (a *app) importModel(ctx context.Context, conn *connection, header *ngramv1.ImportModelHeader, in input) (*ngramv1.ImportModelResponse, error) {
	from := in.from
	if from == nil && in.once {
		from = &pipe{path: in.path}
	}
	if from == nil {
		file, err := os.Open(in.path)
		if err != nil {
			return nil, usagef("cannot read %s: %v", in.label, reason(err))
		}
		defer file.Close()
		from = file
	} else {
		from = interruptible(ctx, from)
	}
	stream, err := ngramv1.NewExchangeServiceClient(conn).ImportModel(ctx)
	if err != nil {
		return nil, err
	}
	bars := newProgress(a.streams)
	defer bars.close()
	err = stream.Send(&ngramv1.ImportModelRequest{Part: &ngramv1.ImportModelRequest_Header{Header: header}})
	for sent := uint64(0); err == nil; {
		buf := make([]byte, chunkSize) // gRPC may keep it after Send
		n, readErr := io.ReadFull(from, buf)
		if n > 0 {
			if err = stream.Send(&ngramv1.ImportModelRequest{Part: &ngramv1.ImportModelRequest_Chunk{Chunk: buf[:n]}}); err != nil {
				break
			}
			sent += uint64(n)
			bars.set("reading", sent, uint64(max(in.size, 0)), true)
		}
		if readErr == io.EOF || readErr == io.ErrUnexpectedEOF {
			break
		}
		if readErr != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, usagef("cannot read %s: %v", in.label, reason(readErr))
		}
	}
	if err != nil && err != io.EOF { // io.EOF: the server has ended, and says why now
		return nil, err
	}
	bars.set("storing", 0, 0, false)
	resp, err := stream.CloseAndRecv()
	switch errors.ReasonOf(err) {
	case "FILE_MALFORMED", "COMPRESSION_DAMAGED":
		err = errors.Wrap(err, errors.KindOf(err), errors.ReasonOf(err), "%s: %s", in.label, errors.Public(err))
	}
	return resp, err
}

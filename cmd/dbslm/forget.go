package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/cobra"
)

// forgetOptions are the flags of forget.
type forgetOptions struct {
	model, text string
	reading
	dryRun, yes, json bool
}

func newForget(a *app) *cobra.Command {
	var o forgetOptions
	cmd := &cobra.Command{
		Use:   "forget DOCUMENT",
		Short: "Take a document out of a model, as if it had never been there",
		Long: `Subtract a document, named by its label, from the counts of a model and remove it from everything else that level 1
keeps: words, forms, text, uses, and every build that saw it, with the local files of those builds. If one of them
serves, a build of what is left is derived first and published in its place. Replies that a dropped build wrote stay
in their conversations, but cannot be replayed any more.

Interrupted at any moment, the same command goes on where it stopped; once it says that there is no such document, it
had ended. Where the text was not kept (train --drop-text), name the file with --text; it is checked by its hash.`,
		Example: `  dbslm forget letters/anna.txt --dry-run
  dbslm forget letters/anna.txt
  dbslm forget letters/anna.txt --model harbour --text letters/anna.txt --json`,
		Annotations: map[string]string{afterInterrupt: "; run the same command again to complete the forgetting"},
		Args:        oneArg("the document's label"),
		RunE:        func(cmd *cobra.Command, args []string) error { return a.forget(cmd.Context(), args[0], o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.model, "model", "default", "`name` of the model")
	flags.StringVar(&o.text, "text", "", "`file` with the document, where its text was not kept")
	o.register(flags)
	flags.BoolVar(&o.dryRun, "dry-run", false, "only list the builds and files that would go")
	flags.BoolVar(&o.yes, "yes", false, "do not ask")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

// forgetSummary is what a forgetting did, or would do.
type forgetSummary struct {
	Model     string         `json:"model"`
	Document  storedDocument `json:"document"`
	DryRun    bool           `json:"dry_run"`
	Dropped   []uint32       `json:"dropped_builds"`
	Served    uint32         `json:"served_build,omitempty"`
	Successor uint32         `json:"successor_build,omitempty"`
	Files     []string       `json:"files"`
}

func (a *app) forget(ctx context.Context, label string, o forgetOptions) error {
	return a.with(ctx, false, func(conn *connection) error {
		req := &ngramv1.ForgetDocumentRequest{Tenant: a.tenant, Model: o.model, Label: label, DryRun: true}
		last, err := a.forgetting(ctx, conn, req, o)
		if err != nil {
			return err
		}
		if !o.dryRun {
			if err := a.confirmForget(ctx, conn, label, o); err != nil {
				return err
			}
			req.DryRun = false
			if last, err = a.forgetting(ctx, conn, req, o); err != nil {
				return err
			}
		}
		s := forgetSummary{
			Model: o.model, Document: summariseDocument(last.Document), DryRun: o.dryRun, Dropped: append([]uint32{}, last.DroppedBuildIds...),
			Served: last.PublishedBuildId, Successor: last.SuccessorBuildId, Files: append([]string{}, last.Files...),
		}
		if o.json {
			return printJSON(a.out, s)
		}
		s.print(a.out)
		return nil
	})
}

func (a *app) confirmForget(ctx context.Context, conn *connection, label string, o forgetOptions) error {
	switch {
	case o.yes:
		return nil
	case conn.remote:
		return usagef("this would forget document %q of model %q in %s for good; repeat the command with --yes to do that", label, o.model, conn.where)
	case terminal(a.in):
		yes, err := confirm(ctx, a.streams, fmt.Sprintf("Forget document %q of model %q in %s for good?", label, o.model, conn.where))
		if err == nil && !yes {
			return usagef("nothing was changed")
		}
		return err
	}
	return nil
}

// forgetting makes the request, with the text if there is one to send, and returns the last message of the answer.
func (a *app) forgetting(ctx context.Context, conn *connection, req *ngramv1.ForgetDocumentRequest, o forgetOptions) (*ngramv1.ForgetDocumentResponse, error) {
	client := ngramv1.NewCorpusServiceClient(conn)
	var next func() (*ngramv1.ForgetDocumentResponse, error)
	if o.text == "" || req.DryRun {
		stream, err := client.ForgetDocument(ctx, req)
		if err != nil {
			return nil, err
		}
		next = stream.Recv
	} else {
		stream, err := client.ForgetSentDocument(ctx)
		if err != nil {
			return nil, err
		}
		if err := a.sendForgotten(ctx, conn, stream, req, o); err != nil {
			return nil, err
		}
		next = func() (*ngramv1.ForgetDocumentResponse, error) {
			resp, err := stream.Recv()
			return resp.GetResponse(), err
		}
	}
	bars := newProgress(a.streams)
	defer bars.close()
	var last *ngramv1.ForgetDocumentResponse
	for {
		resp, err := next()
		switch {
		case err == io.EOF && last != nil:
			return last, nil
		case err != nil:
			return nil, err
		case resp.Finished:
			last = resp
		default:
			bars.set(resp.Phase, resp.Done, resp.Total, resp.Phase == "subtract")
		}
	}
}

// sendForgotten streams the request and the text. It ends quietly when the server ended first: its status says why.
func (a *app) sendForgotten(ctx context.Context, conn *connection, stream ngramv1.CorpusService_ForgetSentDocumentClient, req *ngramv1.ForgetDocumentRequest, o forgetOptions) error {
	in, err := oneFile(o.text)
	if err == nil {
		err = o.recognise(&in)
	}
	if err == nil {
		in, err = a.laidOutFor(ctx, conn, req.Model, in)
	}
	if err != nil {
		return err
	}
	if in.dialogues.divided() { // of which the label names one
		document, ok := strings.CutPrefix(req.Label, in.part(""))
		if !ok {
			_, document, _ = strings.Cut(req.Label, "#")
		}
		in.dialogues.document = document
	}
	text, err := in.open(o.encoding)
	if err != nil {
		return err
	}
	defer text.Close()
	err = stream.Send(&ngramv1.ForgetSentDocumentRequest{Part: &ngramv1.ForgetSentDocumentRequest_Request{Request: req}})
	for err == nil {
		buf := make([]byte, chunkSize) // gRPC may keep it after Send
		n, readErr := io.ReadFull(text, buf)
		if n > 0 {
			err = stream.Send(&ngramv1.ForgetSentDocumentRequest{Part: &ngramv1.ForgetSentDocumentRequest_Chunk{Chunk: buf[:n]}})
		}
		if readErr == io.EOF || readErr == io.ErrUnexpectedEOF {
			break
		}
		if readErr != nil {
			return textError(readErr, o.text)
		}
	}
	if err == io.EOF {
		return nil
	}
	if err != nil {
		return err
	}
	return stream.CloseSend()
}

func (s forgetSummary) print(out io.Writer) {
	did, drop := "forgot", "dropped"
	if s.DryRun {
		did, drop = "would forget", "would drop"
	}
	fmt.Fprintf(out, "%s document %q of model %q: %s\n", did, s.Document.Label, s.Model, plural(s.Document.Tokens, "token", "tokens"))
	if len(s.Dropped) > 0 {
		ids := make([]string, len(s.Dropped))
		for i, id := range s.Dropped {
			ids[i] = fmt.Sprint(id)
		}
		fmt.Fprintf(out, "%s build %s, which saw it; replies they wrote cannot be replayed\n", drop, strings.Join(ids, ", "))
	}
	for _, file := range s.Files {
		fmt.Fprintf(out, "%s file %s\n", drop, file)
	}
	switch {
	case s.Successor != 0:
		fmt.Fprintf(out, "build %d serves instead of build %d\n", s.Successor, s.Served)
	case s.Served != 0 && s.DryRun:
		fmt.Fprintf(out, "a build of what is left would serve instead of build %d\n", s.Served)
	case s.Served != 0:
		fmt.Fprintln(out, "no text is left; nothing serves")
	}
}

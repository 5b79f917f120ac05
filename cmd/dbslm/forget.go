package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	gatewayv1 "dbslm/proto/dbslm/gateway/v1"

	"github.com/spf13/cobra"
)

// forgetOptions are the flags of forget.
type forgetOptions struct {
	model, text, replies string
	reading
	dryRun, yes, json bool
}

func newForget(a *app) *cobra.Command {
	var o forgetOptions
	cmd := &cobra.Command{
		Use:   "forget DOCUMENT",
		Short: "Take a document out of a model, as if it had never been there",
		Long: `Subtract a document, named by its label, from the counts of a model and remove it from everything else: words, forms,
text, uses, and every build that saw it, with the local files of those builds. If one of them serves, a build of what is
left is derived first and published in its place. Replies that a dropped build wrote stay in their conversations, but lose
their traces of level 1 and cannot be replayed any more; their sentences with a word that only this document had are
replaced by […] (--replies words), or every sentence that level 1 wrote in them (--replies all). What people said stays:
see dbslm erase.

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
	flags.StringVar(&o.replies, "replies", "words", "which `sentences` of replies go: words (those with a word that only the document had) or all")
	flags.BoolVar(&o.dryRun, "dry-run", false, "only list the builds, files and replies that would be touched")
	flags.BoolVar(&o.yes, "yes", false, "do not ask")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

// forgetSummary is what a forgetting did, or would do.
type forgetSummary struct {
	Model       string         `json:"model"`
	Document    storedDocument `json:"document"`
	DryRun      bool           `json:"dry_run"`
	Dropped     []uint32       `json:"dropped_builds"`
	Served      uint32         `json:"served_build,omitempty"`
	Successor   uint32         `json:"successor_build,omitempty"`
	Files       []string       `json:"files"`
	Traces      uint64         `json:"traces"`
	Shortened   uint64         `json:"shortened_replies"`
	Corrections uint64         `json:"shortened_corrections"`
}

// repliesToForget are the values of --replies.
var repliesToForget = map[string]gatewayv1.RepliesToForget{
	"words": gatewayv1.RepliesToForget_REPLIES_TO_FORGET_WORDS,
	"all":   gatewayv1.RepliesToForget_REPLIES_TO_FORGET_ALL,
}

func (a *app) forget(ctx context.Context, label string, o forgetOptions) error {
	replies, ok := repliesToForget[o.replies]
	if !ok {
		return usagef("--replies %s is impossible; use words or all", o.replies)
	}
	return a.with(ctx, false, func(conn *connection) error {
		header := &gatewayv1.ForgetHeader{Tenant: a.tenant, Model: o.model, Label: label, DryRun: true, Replies: replies}
		last, err := a.forgetting(ctx, conn, header, o)
		if err != nil {
			return err
		}
		if !o.dryRun {
			if err := a.confirmForget(ctx, conn, label, o); err != nil {
				return err
			}
			header.DryRun, header.TextFollows = false, o.text != ""
			if last, err = a.forgetting(ctx, conn, header, o); err != nil {
				return err
			}
		}
		d := last.Document
		s := forgetSummary{
			Model: o.model, Document: storedDocument{Label: label}, DryRun: o.dryRun, Dropped: append([]uint32{}, d.GetDroppedBuildIds()...),
			Served: d.GetPublishedBuildId(), Successor: d.GetSuccessorBuildId(), Files: append([]string{}, d.GetFiles()...),
			Traces: last.Traces, Shortened: last.Shortened, Corrections: last.Corrections,
		}
		if d != nil { // else level 1 had ended before
			s.Document = summariseDocument(d.Document)
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
func (a *app) forgetting(ctx context.Context, conn *connection, header *gatewayv1.ForgetHeader, o forgetOptions) (*gatewayv1.ForgetResponse, error) {
	stream, err := conn.gateway.Forget(ctx)
	if err != nil {
		return nil, err
	}
	if header.TextFollows {
		err = a.sendForgotten(ctx, conn, stream, header, o)
	} else if err = stream.Send(&gatewayv1.ForgetRequest{Part: &gatewayv1.ForgetRequest_Header{Header: header}}); err == nil || err == io.EOF {
		err = stream.CloseSend() // where the gateway ended first, its status says why
	}
	if err != nil {
		return nil, err
	}
	bars := newProgress(a.streams)
	defer bars.close()
	var last *gatewayv1.ForgetResponse
	for {
		resp, err := stream.Recv()
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
func (a *app) sendForgotten(ctx context.Context, conn *connection, stream gatewayv1.GatewayService_ForgetClient, header *gatewayv1.ForgetHeader, o forgetOptions) error {
	in, err := oneFile(o.text)
	if err == nil {
		err = o.recognise(&in)
	}
	if err == nil {
		in, err = a.laidOutFor(ctx, conn, header.Model, in)
	}
	if err != nil {
		return err
	}
	if in.dialogues.divided() { // of which the label names one
		document, ok := strings.CutPrefix(header.Label, in.part(""))
		if !ok {
			_, document, _ = strings.Cut(header.Label, "#")
		}
		in.dialogues.document = document
	}
	text, err := in.open(o.encoding)
	if err != nil {
		return err
	}
	defer text.Close()
	err = stream.Send(&gatewayv1.ForgetRequest{Part: &gatewayv1.ForgetRequest_Header{Header: header}})
	for err == nil {
		buf := make([]byte, chunkSize) // gRPC may keep it after Send
		n, readErr := io.ReadFull(text, buf)
		if n > 0 {
			err = stream.Send(&gatewayv1.ForgetRequest{Part: &gatewayv1.ForgetRequest_Chunk{Chunk: buf[:n]}})
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
	defer func() {
		switch {
		case s.Traces > 0 && s.DryRun:
			fmt.Fprintf(out, "would strip the traces of %s that they wrote, and take out sentences\n", plural(s.Traces, "reply", "replies"))
		case s.Traces > 0:
			fmt.Fprintf(out, "stripped the traces of %s that they wrote; sentences were taken out of %s of them\n", plural(s.Traces, "reply", "replies"), count(s.Shortened))
		}
		if s.Corrections > 0 {
			fmt.Fprintf(out, "took quotes of them out of %s\n", plural(s.Corrections, "correction", "corrections"))
		}
	}()
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

package gateway

import (
	"context"
	"io"
	"slices"
	"strings"
	"unicode"

	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// A document is forgotten in level 1 first, which publishes a build without it and drops every build that saw it. Then
// memory takes no reply of a dropped build any more, and hands out those it has: their traces lose what level 1 wrote, and
// their texts the sentences that hold a word which no document has any more. Level 3 keeps nothing of what level 1 says. See
// docs/decisions/0073.

const (
	// forgottenFailure is the failure of a build that was dropped because a document that it saw was forgotten.
	forgottenFailure = "a document that it saw was forgotten"
	// buildForgotten is memory's reason to refuse a reply from such a build.
	buildForgotten = "BUILD_FORGOTTEN"
	// documentForgotten is why a reply from such a build cannot be replayed.
	documentForgotten = "DOCUMENT_FORGOTTEN"
	// forgottenMark stands for what was taken out of a reply; shorter sentences get shorterMark.
	forgottenMark, shorterMark = "[…]", "-"
	// goneTokens bounds FindGoneTokensRequest.token_ids.
	goneTokens = 100_000
	// goneWordLimit bounds RemainingReply.gone_words.
	goneWordLimit = 10_000
)

type forgetStream = grpc.BidiStreamingServer[gatewayv1.ForgetRequest, gatewayv1.ForgetResponse]

// forget is one forgetting.
type forget struct {
	gateway *Gateway
	header  *gatewayv1.ForgetHeader
	send    func(*gatewayv1.ForgetResponse) error
	recv    func() (*gatewayv1.ForgetRequest, error) // what follows the header
	fresh   bool                                     // the request brought no id of its own
}

// Forget implements GatewayService.
func (g *Gateway) Forget(stream forgetStream) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	header := first.GetHeader()
	if header == nil {
		return errors.New(errors.InvalidArgument, "HEADER_MISSING", "forgetting begins with its header").Field("header", "missing")
	}
	f := &forget{gateway: g, header: header, send: stream.Send, recv: stream.Recv, fresh: header.RequestId == ""}
	if header.Model == "" {
		header.Model = defaultModel
	}
	if f.fresh {
		if header.RequestId, err = newRequestID(); err != nil {
			return err
		}
	}
	last, err := f.run(stream.Context())
	if err != nil {
		return err
	}
	last.Finished, last.RequestId = true, header.RequestId
	return stream.Send(last)
}

func (f *forget) run(ctx context.Context) (*gatewayv1.ForgetResponse, error) {
	h, g := f.header, f.gateway
	found, err := f.level1(ctx, &ngramv1.ForgetDocumentRequest{Tenant: h.Tenant, Model: h.Model, Label: h.Label, DryRun: true})
	if errors.ReasonOf(err) == "DOCUMENT_NOT_FOUND" {
		return f.resume(ctx, err)
	}
	if err != nil {
		return nil, err
	}
	// Before anything changes, memory must be there.
	written, err := g.forgetting.CountReplies(ctx, &memoryv1.CountRepliesRequest{Tenant: h.Tenant, Model: h.Model, NgramBuildIds: found.DroppedBuildIds})
	if err != nil {
		return nil, err
	}
	if h.DryRun {
		return &gatewayv1.ForgetResponse{Service: serviceMemory, Document: found, Traces: written.Replies - written.Forgotten}, nil
	}
	if !f.fresh {
		if _, err := g.forgetting.GetForgetting(ctx, &memoryv1.GetForgettingRequest{Tenant: h.Tenant, RequestId: h.RequestId}); errors.KindOf(err) != errors.NotFound || err == nil {
			if err == nil {
				err = errors.New(errors.InvalidArgument, "REQUEST_ID_REUSED", "request id %q was used to forget another document; give every request an id of its own", h.RequestId).
					Field("request_id", "was used for another request")
			}
			return nil, err
		}
	}
	gone, err := f.level1(ctx, &ngramv1.ForgetDocumentRequest{Tenant: h.Tenant, Model: h.Model, Label: h.Label, RequestId: h.RequestId})
	g.published.forgetAll()
	if err != nil {
		return nil, err
	}
	last := &gatewayv1.ForgetResponse{Service: serviceMemory, Document: gone}
	if len(gone.DroppedBuildIds) > 0 {
		err = f.replies(ctx, gone.DroppedBuildIds, last)
	}
	return last, err
}

// level1 has level 1 forget the document, or say what it would touch, and passes its progress on.
func (f *forget) level1(ctx context.Context, req *ngramv1.ForgetDocumentRequest) (last *ngramv1.ForgetDocumentResponse, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next func() (*ngramv1.ForgetDocumentResponse, error)
	if req.DryRun || !f.header.TextFollows {
		peer, err := f.gateway.corpus.ForgetDocument(ctx, req)
		if err != nil {
			return nil, err
		}
		next = peer.Recv
	} else {
		peer, err := f.gateway.corpus.ForgetSentDocument(ctx)
		if err != nil {
			return nil, err
		}
		go func() {
			if err := f.sendText(req, peer); err != nil {
				cancel(err)
			}
		}()
		next = func() (*ngramv1.ForgetDocumentResponse, error) {
			resp, err := peer.Recv()
			return resp.GetResponse(), err
		}
	}
	for {
		resp, err := next()
		switch {
		case err == io.EOF && last != nil:
			return last, nil
		case err == io.EOF:
			return nil, errors.New(errors.Unavailable, "STREAM_CUT", "level 1 ended without saying that it forgot; repeat the request")
		case err != nil:
			if cause := context.Cause(ctx); cause != nil {
				return nil, cause
			}
			return nil, err
		case resp.Finished:
			last = resp
			continue
		}
		err = f.send(&gatewayv1.ForgetResponse{Service: serviceNgram, Phase: resp.Phase, Done: resp.Done, Total: resp.Total})
		if err != nil {
			return nil, err
		}
	}
}

// sendText passes the document's text on. It ends without an error when the peer ended first: its status says why.
func (f *forget) sendText(req *ngramv1.ForgetDocumentRequest, peer ngramv1.CorpusService_ForgetSentDocumentClient) error {
	out := &ngramv1.ForgetSentDocumentRequest{Part: &ngramv1.ForgetSentDocumentRequest_Request{Request: req}}
	for {
		if err := peer.Send(out); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		in, err := f.recv()
		if err == io.EOF {
			return peer.CloseSend()
		}
		if err != nil {
			return err
		}
		if in.GetHeader() != nil {
			return errors.New(errors.InvalidArgument, "SECOND_HEADER", "a forgetting has one header, as its first message").Field("header", "repeated")
		}
		out = &ngramv1.ForgetSentDocumentRequest{Part: &ngramv1.ForgetSentDocumentRequest_Chunk{Chunk: in.GetChunk()}}
	}
}

// resume goes on with a forgetting that level 1 has ended, if there is one: the request's own, or whatever replies of forgotten
// builds are left of any. Else there is no such document.
func (f *forget) resume(ctx context.Context, notFound error) (*gatewayv1.ForgetResponse, error) {
	h, g := f.header, f.gateway
	last := &gatewayv1.ForgetResponse{Service: serviceMemory}
	begun, err := g.forgetting.GetForgetting(ctx, &memoryv1.GetForgettingRequest{Tenant: h.Tenant, RequestId: h.RequestId})
	switch {
	case err != nil && errors.KindOf(err) != errors.NotFound:
		return nil, err
	case err == nil && begun.Forgetting.Model != h.Model:
		return nil, notFound
	case err == nil && begun.Forgetting.Finished:
		last.Traces, last.Shortened, last.Corrections = begun.Forgetting.Traces, begun.Forgetting.Shortened, begun.Forgetting.Corrections
		return last, nil
	}
	builds, err := f.forgottenBuilds(ctx)
	if err != nil {
		return nil, err
	}
	written, err := g.forgetting.CountReplies(ctx, &memoryv1.CountRepliesRequest{Tenant: h.Tenant, Model: h.Model, NgramBuildIds: builds})
	if err != nil {
		return nil, err
	}
	if written.Replies == written.Forgotten && begun == nil {
		return nil, notFound
	}
	if h.DryRun {
		last.Traces = written.Replies - written.Forgotten
		return last, nil
	}
	return last, f.replies(ctx, builds, last)
}

// forgottenBuilds lists the builds of the model that were dropped for forgotten documents.
func (f *forget) forgottenBuilds(ctx context.Context) (ids []uint32, err error) {
	for token := ""; ; {
		resp, err := f.gateway.builds.ListBuilds(ctx, &ngramv1.ListBuildsRequest{
			Tenant: f.header.Tenant, Model: f.header.Model, IncludeEnded: true, PageSize: 1000, PageToken: token,
		})
		if err != nil {
			return nil, err
		}
		for _, b := range resp.Builds {
			if b.State == ngramv1.Build_STATE_DROPPED && b.Failure == forgottenFailure {
				ids = append(ids, b.BuildId)
			}
		}
		if token = resp.NextPageToken; token == "" {
			return ids, nil
		}
	}
}

// replies has memory forget what the builds wrote, a step at a time.
func (f *forget) replies(ctx context.Context, builds []uint32, last *gatewayv1.ForgetResponse) error {
	req := &memoryv1.ForgetRepliesRequest{Tenant: f.header.Tenant, RequestId: f.header.RequestId, Model: f.header.Model, NgramBuildIds: builds}
	quoting, err := packTrace(&gatewayv1.Trace{Version: traceVersion, NotReplayable: forgottenTrace(true)})
	if err != nil {
		return err
	}
	req.QuotingTrace = quoting
	for {
		resp, err := f.gateway.forgetting.ForgetReplies(ctx, req)
		if err != nil {
			return err
		}
		last.Traces, last.Shortened, last.Corrections = resp.Forgetting.GetTraces(), resp.Forgetting.GetShortened(), resp.Forgetting.GetCorrections()
		if resp.Forgetting.GetFinished() {
			return nil
		}
		if req.Remaining, err = f.remaining(ctx, resp.Replies); err != nil {
			return err
		}
		err = f.send(&gatewayv1.ForgetResponse{Service: serviceMemory, Phase: "replies", Done: last.Traces})
		if err != nil {
			return err
		}
	}
}

// remaining says what is to stay of replies.
func (f *forget) remaining(ctx context.Context, replies []*memoryv1.WrittenReply) ([]*memoryv1.RemainingReply, error) {
	traces := make([]*gatewayv1.Trace, len(replies))
	var ids []uint32
	for i, r := range replies {
		trace, err := parseTrace(r.Trace)
		if err != nil { // nothing of it can be kept
			trace = nil
		}
		traces[i] = trace
		for _, s := range trace.GetSegments() {
			ids = append(ids, s.TokenIds...)
		}
	}
	slices.Sort(ids)
	gone := map[uint32]bool{}
	for some := range slices.Chunk(slices.Compact(ids), goneTokens) {
		resp, err := f.gateway.corpus.FindGoneTokens(ctx, &ngramv1.FindGoneTokensRequest{Tenant: f.header.Tenant, Model: f.header.Model, TokenIds: some})
		if err != nil {
			return nil, err
		}
		for _, id := range resp.TokenIds {
			gone[id] = true
		}
	}
	removes := func(s *gatewayv1.TraceSegment) bool {
		return f.all() || slices.ContainsFunc(s.TokenIds, func(id uint32) bool { return gone[id] })
	}
	var out []*memoryv1.RemainingReply
	for i, r := range replies {
		content, trace := strip(r.Content, traces[i], removes)
		packed, err := packTrace(trace)
		if err != nil {
			return nil, err
		}
		remaining := &memoryv1.RemainingReply{MessageId: r.MessageId, Trace: packed}
		if content != r.Content {
			remaining.Content = content
			if remaining.GoneWords, err = f.goneWords(ctx, r.Content, traces[i], removes); err != nil {
				return nil, err
			}
		}
		out = append(out, remaining)
	}
	return out, nil
}

func (f *forget) all() bool {
	return f.header.Replies == gatewayv1.RepliesToForget_REPLIES_TO_FORGET_ALL
}

// goneWords are what nothing else may quote of a reply: words of the sentences that are taken out of it which level 1 does not
// know any more, but which no correction had brought; and the sentences themselves where all of them go. Where no build serves,
// no word is known.
func (f *forget) goneWords(ctx context.Context, content string, trace *gatewayv1.Trace, out func(*gatewayv1.TraceSegment) bool) (words []string, err error) {
	sentences := []string{content} // of a trace that cannot be read
	if trace != nil {
		sentences = nil
	}
	brought := ""
	for _, b := range trace.GetParameters().GetBiases() {
		brought += " " + strings.ToLower(b.Text)
	}
	for _, s := range trace.GetSegments() {
		if s.Span == nil && out(s) {
			sentences = append(sentences, s.Text)
		}
	}
	add := func(word string) {
		if len(words) < goneWordLimit && word != "" {
			words = append(words, word)
		}
	}
	for _, sentence := range sentences {
		if f.all() {
			add(strings.TrimSpace(sentence))
		}
		resp, err := f.gateway.inference.Tokenize(ctx, &ngramv1.TokenizeRequest{Tenant: f.header.Tenant, Model: f.header.Model, Text: sentence})
		if errors.KindOf(err) == errors.FailedPrecondition {
			for word := range strings.FieldsSeq(sentence) {
				add(word)
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, s := range resp.Sentences {
			for _, t := range s.Tokens {
				if t.Id == 0 && !strings.Contains(brought, strings.ToLower(t.Text)) {
					add(t.Text)
				}
			}
		}
	}
	return words, nil
}

// strip takes what level 1 wrote out of a trace, and the segments for which out holds out of the reply too. A reply that is not
// what its trace says loses everything if any of it must go, or if there is no reading the trace.
func strip(content string, trace *gatewayv1.Trace, out func(*gatewayv1.TraceSegment) bool) (string, *gatewayv1.Trace) {
	unreadable := trace == nil
	trace = proto.CloneOf(trace)
	if unreadable {
		trace = &gatewayv1.Trace{Version: traceVersion}
	}
	var whole, kept strings.Builder
	removed := false
	for _, s := range trace.Segments {
		whole.WriteString(s.Text)
		if s.Span == nil {
			if out(s) {
				removed = true
				s.Text = marked(s.Text)
			}
			s.TokenIds = nil
		}
		kept.WriteString(s.Text)
	}
	switch {
	case unreadable:
		removed, content = true, marked(content)
	case removed && whole.String() == content:
		content = kept.String()
	case removed:
		content = marked(content)
	}
	if trace.Parameters != nil {
		trace.Parameters.Biases = nil // corrections may quote a reply in theirs
	}
	trace.NotReplayable = forgottenTrace(removed)
	return content, trace
}

func forgottenTrace(textRemoved bool) *gatewayv1.NotReplayable {
	return &gatewayv1.NotReplayable{
		Reason: documentForgotten, TextRemoved: textRemoved,
		Detail: "a document that the build of this reply, or of one that it quotes, had seen was forgotten, and with it the build and what level 1 wrote in this trace",
	}
}

// marked is a mark in the place of a text, no longer than it and after the same white space.
func marked(text string) string {
	body := strings.TrimLeftFunc(text, unicode.IsSpace)
	space := text[:len(text)-len(body)]
	switch {
	case body == "":
		return text
	case len(body) < len(forgottenMark):
		return space + shorterMark
	}
	return space + forgottenMark
}

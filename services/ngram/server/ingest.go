package server

import (
	"context"
	"crypto/sha256"
	"io"
	"time"

	"dbslm/pkg/errors"
	"dbslm/pkg/pagetoken"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
)

// corpus implements CorpusService.
type corpus struct {
	ngramv1.UnimplementedCorpusServiceServer
	store  *store.Store
	reader *store.Reader
	jobs   *jobs
}

type ingestStream = grpc.BidiStreamingServer[ngramv1.IngestRequest, ngramv1.IngestResponse]

// Ingest implements CorpusService. Documents are counted together once enough text waits or the client pauses, so that
// many small ones cost few transactions and a client may wait for each; a document is acknowledged when the transaction
// that counted it has ended.
func (s *corpus) Ingest(stream ingestStream) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	header := first.GetHeader()
	if header == nil {
		return errors.New(errors.InvalidArgument, "HEADER_MISSING", "the first message of an ingest is its header").Field("header", "missing")
	}
	ctx := stream.Context()
	tenant := tenantOf(header.Tenant)
	model, err := s.createOrCheck(ctx, tenant, header)
	if err != nil {
		return err
	}
	in := receive(stream)
	owner := trainerOf(ctx, header.Trainer)
	err = s.jobs.run(ctx, ngram.JobIngest, tenant, header.Model, owner, header.KeepRunning, func(ctx context.Context, j *job) error {
		return s.store.Train(ctx, tenant, header.Model, owner, func(ctx context.Context, t *store.Trainer) error {
			in.held = ctx
			t.Within(int64(header.MemoryBytes))
			if header.MaxRuntimeSeconds > 0 {
				in.until = j.now.Created.Add(time.Duration(header.MaxRuntimeSeconds) * time.Second)
				t.PauseAt(in.until)
			}
			if err := probeWith(t, header.Probe, stream); err != nil {
				return err
			}
			i := &ingest{stream: stream, in: in, trainer: t, job: j, dropText: header.DropText, survive: header.KeepRunning}
			return i.run(ctx, model)
		})
	})
	if errors.ReasonOf(err) == store.ReasonPaused {
		err = nil // the last message said so
	}
	return err
}

// probeWith has the trainer measure its counts on a text, and tell the client.
func probeWith(t *store.Trainer, options *ngramv1.ProbeOptions, stream ingestStream) error {
	if options == nil {
		return nil
	}
	return t.Probe(store.Probing{
		Text: options.Text, Documents: int64(options.EveryDocuments), Tokens: int64(options.EveryTokens), Tell: func(p ngram.Probe) error {
			including, excluding := p.Perplexity()
			_ = stream.Send(&ngramv1.IngestResponse{Event: &ngramv1.IngestResponse_Probe{Probe: &ngramv1.IngestProbe{
				Documents: uint64(p.Documents), Tokens: uint64(p.Tokens), CountsVersion: uint64(p.CountsVersion),
				Sentences: uint64(p.Sentences), Events: uint64(p.Events), Oov: uint64(p.OOV), Log10: p.Log10,
				PerplexityIncludingOov: including, PerplexityExcludingOov: excluding,
			}}}) // a client that has gone ends the context
			return nil
		},
	})
}

// createOrCheck finds the model, or makes it. Settings that differ from its own are FailedPrecondition here.
func (s *corpus) createOrCheck(ctx context.Context, tenant string, header *ngramv1.IngestHeader) (ngram.Model, error) {
	model, _, err := s.store.CreateModel(ctx, tenant, header.Model, settingsOf(header.Settings))
	if errors.KindOf(err) == errors.AlreadyExists {
		err = errors.Wrap(err, errors.FailedPrecondition, errors.ReasonOf(err), "%s", errors.Public(err)).With("model", header.Model)
	}
	return model, err
}

func trainerOf(ctx context.Context, name string) string {
	if name != "" {
		return name
	}
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil && p.Addr.Network() != "bufconn" { // which is this process
		return "a client at " + p.Addr.String()
	}
	return "an unnamed client"
}

// inbox receives the messages of a stream beside the work on them, so that a pause of the client is noticed, and the end of
// the hold on the model too.
type inbox struct {
	messages chan message
	held     context.Context //nolint:containedctx // ends when the hold on the model is lost or the stream is over
	gone     context.Context //nolint:containedctx // ends with the stream
	until    time.Time       // nothing is received after it; zero for ever
}

type message struct {
	request *ngramv1.IngestRequest
	err     error
}

const idle = 200 * time.Millisecond

var errIdle = errors.New(errors.Internal, "INGEST_IDLE", "the client sends nothing at present")

// receive begins to receive; the goroutine ends with the stream.
func receive(stream ingestStream) *inbox {
	in := &inbox{messages: make(chan message), held: stream.Context(), gone: stream.Context()}
	go func() {
		for {
			request, err := stream.Recv()
			select {
			case in.messages <- message{request, err}:
			case <-stream.Context().Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return in
}

// next returns the next message. With pause it returns errIdle if none comes for a moment.
func (in *inbox) next(pause bool) (*ngramv1.IngestRequest, error) {
	var timeout, over <-chan time.Time
	if !in.until.IsZero() {
		timer := time.NewTimer(time.Until(in.until))
		defer timer.Stop()
		over = timer.C
	}
	if pause {
		timer := time.NewTimer(idle)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case m := <-in.messages:
		return m.request, m.err
	case <-timeout:
		return nil, errIdle
	case <-over:
		return nil, store.ErrPaused
	case <-in.gone.Done():
		return nil, context.Cause(in.gone)
	case <-in.held.Done():
		return nil, context.Cause(in.held)
	}
}

// ingest is one stream in progress.
type ingest struct {
	stream   ingestStream
	in       *inbox
	trainer  *store.Trainer
	job      *job
	dropText bool
	survive  bool
	waiting  []waiting // received, not yet acknowledged, in the order of arrival
}

type waiting struct {
	label   string
	outcome ngram.Outcome
	doc     ngram.Document
}

func (i *ingest) run(ctx context.Context, model ngram.Model) error {
	if err := i.trainer.Countable(); err != nil {
		return err
	}
	unfinished, err := i.trainer.Unfinished(ctx)
	if err != nil {
		return err
	}
	opened := &ngramv1.IngestOpened{Model: modelProto(model), ResumedLabels: unfinished, JobId: i.job.now.ID}
	if err := i.stream.Send(&ngramv1.IngestResponse{Event: &ngramv1.IngestResponse_Opened{Opened: opened}}); err != nil {
		return err
	}
	if len(unfinished) > 0 {
		err = i.count(ctx)
	}
	if err == nil {
		err = i.receive(ctx)
	}
	if err == nil {
		err = i.trainer.ProbeLast(ctx)
	}
	switch {
	case i.survive && i.in.gone.Err() != nil && ctx.Err() == nil:
		return errors.Join(err, i.count(ctx)) // what arrived whole
	case errors.ReasonOf(err) == store.ReasonPaused:
		return i.pause(ctx, err)
	}
	return err
}

// pause stores what arrived, counted or not, and says what is left.
func (i *ingest) pause(ctx context.Context, paused error) error {
	if err := i.count(ctx); err != nil && errors.ReasonOf(err) != store.ReasonPaused {
		return err
	}
	unfinished, err := i.trainer.Unfinished(ctx)
	if err != nil {
		return err
	}
	event := &ngramv1.IngestResponse_Paused{Paused: &ngramv1.IngestPaused{UnfinishedLabels: unfinished}}
	if err := i.stream.Send(&ngramv1.IngestResponse{Event: event}); err != nil {
		return err
	}
	return paused
}

// receive takes documents in and counts them until the client has sent all.
func (i *ingest) receive(ctx context.Context) error {
	for {
		req, err := i.in.next(len(i.waiting) > 0)
		if errors.Is(err, errIdle) { // the client may be waiting for us
			err = i.count(ctx)
			if err == nil {
				continue
			}
		}
		if err == io.EOF {
			return i.count(ctx)
		}
		if err != nil {
			return err
		}
		start := req.GetStart()
		if start == nil {
			return outOfOrder("a document begins with its start")
		}
		if err := i.document(ctx, start); err != nil {
			return err
		}
		if i.trainer.Full() {
			if err := i.count(ctx); err != nil {
				return err
			}
		}
	}
}

func outOfOrder(text string) error {
	return errors.New(errors.InvalidArgument, "INGEST_OUT_OF_ORDER", "%s: after the header follow start, chunks and end of each document", text)
}

// document takes one document in. It waits to be counted.
func (i *ingest) document(ctx context.Context, start *ngramv1.DocumentStart) error {
	in := &chunks{in: i.in}
	doc, outcome, err := i.trainer.Receive(ctx, store.Source{
		Label: start.Label, Weight: int64(start.Weight), Text: in, DropText: i.dropText, Replace: start.Replace, SHA256: func() []byte { return in.sha256 },
	})
	if err != nil {
		return err
	}
	if err := in.drain(); err != nil {
		return err
	}
	i.waiting = append(i.waiting, waiting{start.Label, outcome, doc})
	if len(i.waiting) >= maxWaiting {
		return i.count(ctx)
	}
	return nil
}

// maxWaiting bounds the documents that wait to be acknowledged.
const maxWaiting = 10_000

// count counts what waits and acknowledges it.
func (i *ingest) count(ctx context.Context) error {
	counted, err := i.trainer.Count(ctx, func(label string, bytes, tokens int64) {
		i.job.note(label, bytes, 0)
		_ = i.stream.Send(&ngramv1.IngestResponse{Event: &ngramv1.IngestResponse_Progress{Progress: &ngramv1.IngestProgress{
			Label: label, BytesDone: uint64(bytes), Tokens: uint64(tokens),
		}}}) // a client that has gone ends the context
	})
	if err != nil && errors.ReasonOf(err) != store.ReasonPaused {
		return err
	}
	byLabel := map[string]ngram.Document{}
	for _, d := range counted {
		byLabel[d.Label] = d
	}
	for _, w := range i.waiting {
		d, ok := byLabel[w.label]
		if ok && (w.outcome == ngram.OutcomeCounted || w.outcome == ngram.OutcomeReplaced) {
			w.doc = d
		} else if err != nil && (w.outcome == ngram.OutcomeCounted || w.outcome == ngram.OutcomeReplaced) {
			continue // stored, to be counted by the next ingest
		}
		if sendErr := i.acknowledge(w); sendErr != nil && !i.survive {
			return sendErr
		}
	}
	i.waiting = nil
	return err
}

var outcomes = map[ngramv1.DocumentAcknowledged_Outcome]ngram.Outcome{
	ngramv1.DocumentAcknowledged_OUTCOME_COUNTED:   ngram.OutcomeCounted,
	ngramv1.DocumentAcknowledged_OUTCOME_UNCHANGED: ngram.OutcomeUnchanged,
	ngramv1.DocumentAcknowledged_OUTCOME_REPLACED:  ngram.OutcomeReplaced,
	ngramv1.DocumentAcknowledged_OUTCOME_EMPTY:     ngram.OutcomeEmpty,
}

func (i *ingest) acknowledge(w waiting) error {
	ack := &ngramv1.DocumentAcknowledged{Label: w.label, Outcome: protoOf(outcomes, w.outcome)}
	if w.outcome != ngram.OutcomeEmpty {
		ack.Document = documentProto(w.doc)
	}
	return i.stream.Send(&ngramv1.IngestResponse{Event: &ngramv1.IngestResponse_Acknowledged{Acknowledged: ack}})
}

// chunks reads the text of one document from the stream, up to its end message.
type chunks struct {
	in     *inbox
	rest   []byte
	ended  bool
	sha256 []byte // as the client computed it; nil without
}

// Read implements io.Reader.
func (c *chunks) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		if c.ended {
			return 0, io.EOF
		}
		req, err := c.in.next(false)
		if err == io.EOF {
			return 0, outOfOrder("the stream ended inside a document")
		}
		if err != nil {
			return 0, err
		}
		switch part := req.Part.(type) {
		case *ngramv1.IngestRequest_Chunk:
			c.rest = part.Chunk
		case *ngramv1.IngestRequest_End:
			c.ended = true
			if n := len(part.End.GetSha256()); n != 0 && n != sha256.Size {
				return 0, errors.New(errors.InvalidArgument, "HASH_INVALID", "a SHA-256 has %d bytes, not %d", sha256.Size, n).Field("end.sha256", "wrong length")
			} else if n > 0 {
				c.sha256 = part.End.Sha256
			}
		default:
			return 0, outOfOrder("a document has no end")
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// drain reads a document to its end, for one whose text was not needed whole.
func (c *chunks) drain() error {
	_, err := io.Copy(io.Discard, c)
	return err
}

func documentProto(d ngram.Document) *ngramv1.Document {
	return &ngramv1.Document{
		DocumentId: d.ID,
		Label:      d.Label,
		Sha256:     d.SHA256[:],
		Weight:     uint32(d.Weight),
		SizeBytes:  uint64(d.Bytes),
		Sentences:  uint64(d.Sentences),
		Tokens:     uint64(d.Tokens),
		Ngrams:     uint64(d.NGrams),
		TextKept:   d.TextKept,
		CreateTime: timestamp(d.Created),
	}
}

// ListDocuments implements CorpusService.
func (s *corpus) ListDocuments(ctx context.Context, req *ngramv1.ListDocumentsRequest) (*ngramv1.ListDocumentsResponse, error) {
	tenant := tenantOf(req.Tenant)
	query := []string{"ListDocuments", tenant, req.Model}
	after, err := pagetoken.Place(req.PageToken, query)
	if err != nil {
		return nil, err
	}
	size := pagetoken.Size(req.PageSize)
	found, err := s.store.Documents(ctx, tenant, req.Model, after, size+1)
	if err != nil {
		return nil, err
	}
	page, next := pagetoken.Cut(query, found, size, func(d ngram.Document) string { return d.Label })
	resp := &ngramv1.ListDocumentsResponse{NextPageToken: next}
	for _, d := range page {
		resp.Documents = append(resp.Documents, documentProto(d))
	}
	return resp, nil
}

package server

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	"dbslm/pkg/rpc"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram/store"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// whole is every service of a server, over the full interceptor chain.
type whole struct {
	trainingClients
	jobs      ngramv1.JobServiceClient
	inference ngramv1.InferenceServiceClient
	service   *Server
	conn      grpc.ClientConnInterface
}

func dialWhole(t *testing.T, db *database.DB, options Options) whole {
	t.Helper()
	service := New(db, options)
	server := rpc.NewServer(rpc.Options{}, service)
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), service.Close()); err != nil {
			t.Error(err)
		}
	})
	conn := server.Local()
	return whole{
		trainingClients{ngramv1.NewModelServiceClient(conn), ngramv1.NewCorpusServiceClient(conn), ngramv1.NewBuildServiceClient(conn)},
		ngramv1.NewJobServiceClient(conn), ngramv1.NewInferenceServiceClient(conn), service, conn,
	}
}

var line = &ngramv1.ModelSettings{Order: 3, Tokenizer: ngramv1.TokenizerKind_TOKENIZER_KIND_WHITESPACE}

// take ingests texts under labels and waits until they are counted.
func (w whole) take(t *testing.T, model string, texts map[string]string) {
	t.Helper()
	s := w.ingest(t.Context(), t, &ngramv1.IngestHeader{Model: model, Settings: line})
	for label, text := range texts {
		s.send(&ngramv1.IngestRequest{Part: &ngramv1.IngestRequest_Start{Start: &ngramv1.DocumentStart{Label: label}}})
		s.send(&ngramv1.IngestRequest{Part: &ngramv1.IngestRequest_Chunk{Chunk: []byte(text)}})
		s.send(&ngramv1.IngestRequest{Part: &ngramv1.IngestRequest_End{End: &ngramv1.DocumentEnd{}}})
	}
	if err := s.stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := s.outcome(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// lines is a text of so many lines, different for another seed.
func lines(seed, count int) string {
	words := strings.Fields("the a harbour ship sails rope mast knot tide wind crew storm calm port star map")
	var b strings.Builder
	for i := range count {
		for j := range 4 + (i+seed)%5 {
			fmt.Fprint(&b, words[(i*i+j*(seed+3)+i*j)%len(words)], " ")
		}
		b.WriteString(".\n")
	}
	return b.String()
}

func (w whole) wait(t *testing.T, id string) *ngramv1.Job {
	t.Helper()
	stream, err := w.jobs.AttachJob(t.Context(), &ngramv1.AttachJobRequest{JobId: id})
	if err != nil {
		t.Fatal(err)
	}
	var last *ngramv1.Job
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			return last
		}
		if err != nil {
			t.Fatal(err)
		}
		last = resp.Job
	}
}

// What a build measures on the held-out text is what an evaluation of the build measures; the gate goes by it.
func TestHeldOutAndGate(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		w := dialWhole(t, db, Options{})
		w.take(t, "m", map[string]string{"a": lines(1, 60)})
		held := lines(2, 20) + "an unknown word\n"
		set, err := w.builds.SetHeldOut(ctx, &ngramv1.SetHeldOutRequest{Model: "m", Text: []byte(held)})
		if err != nil || set.Sentences != 21 || len(set.Sha256) != 32 {
			t.Fatalf("%v, error %v", set, err)
		}
		for name, request := range map[string]*ngramv1.SetHeldOutRequest{
			"HELD_OUT_TRAINED": {Model: "m", Text: []byte(lines(1, 60))}, "TEXT_EMPTY": {Model: "m", Text: []byte(" \n")},
			"MODEL_NOT_FOUND": {Model: "n", Text: []byte("x")}, "INVALID_TEXT": {Model: "m", Text: []byte("x \xff\n")},
		} {
			if _, err := w.builds.SetHeldOut(ctx, request); errors.ReasonOf(err) != name {
				t.Errorf("%s: error %v", name, err)
			}
		}
		for _, storage := range []ngramv1.Storage{ngramv1.Storage_STORAGE_EXACT, ngramv1.Storage_STORAGE_16, ngramv1.Storage_STORAGE_8} {
			build := w.build(ctx, t, &ngramv1.CreateBuildRequest{Model: "m", Storage: storage, Publish: true})
			evaluation, _, err := evaluate(t, w.inference, &ngramv1.EvaluateHeader{Model: "m"}, held)
			if err != nil {
				t.Fatal(err)
			}
			h := build.HeldOut
			if relative(h.GetPerplexity(), evaluation.PerplexityIncludingOov) > 1e-12 || h.GetTokens() != evaluation.Tokens || h.GetOov() != evaluation.Oov || h.GetOov() != 3 {
				t.Errorf("%v: held out %v, evaluated %v", storage, h, evaluation)
			}
			loss := h.GetQuantisationLossBits()
			if storage == ngramv1.Storage_STORAGE_EXACT && (loss != 0 || h.GetPerplexity() != h.GetExactPerplexity()) || storage != ngramv1.Storage_STORAGE_EXACT && (loss == 0 || loss > 0.1 || loss < -0.1) {
				t.Errorf("%v: %v", storage, h)
			}
			if build.Rows == 0 || build.SizeBytes < 45*build.Rows {
				t.Errorf("%d rows, %d bytes", build.Rows, build.SizeBytes)
			}
		}
		// Text of another kind makes the model worse on the held-out text, and the gate refuses that.
		policy := &ngramv1.BuildPolicy{MaxPerplexityIncrease: proto.Float64(0.01)}
		if _, err := w.builds.SetBuildPolicy(ctx, &ngramv1.SetBuildPolicyRequest{Model: "m", Policy: policy}); err != nil {
			t.Fatal(err)
		}
		var other strings.Builder
		for i := range 500 {
			fmt.Fprintf(&other, "w%d w%d w%d w%d\n", i, i*7%499, i*11%499, i*13%499)
		}
		w.take(t, "m", map[string]string{"b": other.String()})
		_, err = w.create(ctx, &ngramv1.CreateBuildRequest{Model: "m", Publish: true})
		if errors.ReasonOf(err) != "BUILD_WORSE" || errors.KindOf(err) != errors.FailedPrecondition || !strings.Contains(errors.Public(err), "perplexity") {
			t.Fatalf("error %v", err)
		}
		list, err := w.builds.ListBuilds(ctx, &ngramv1.ListBuildsRequest{Model: "m"})
		if err != nil || len(list.Builds) != 4 || list.Builds[0].Published || !list.Builds[1].Published {
			t.Fatalf("%v, error %v", list, err)
		}
		worse := list.Builds[0].BuildId
		if _, err := w.builds.PublishBuild(ctx, &ngramv1.PublishBuildRequest{Model: "m", BuildId: worse}); errors.ReasonOf(err) != "BUILD_WORSE" {
			t.Errorf("error %v", err)
		}
		if _, err := w.builds.PublishBuild(ctx, &ngramv1.PublishBuildRequest{Model: "m", BuildId: worse, Force: true}); err != nil {
			t.Error(err)
		}
	})
}

// A build that was published before the text was held out, or before another was, is measured when the gate needs it; and builds that
// the gate refuses are kept no longer than others.
func TestGateMeasuresWhatItLacks(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		w := dialWhole(t, db, Options{})
		w.take(t, "m", map[string]string{"a": lines(1, 60)})
		good := w.build(ctx, t, &ngramv1.CreateBuildRequest{Model: "m", Publish: true})
		policy := &ngramv1.BuildPolicy{MaxPerplexityIncrease: proto.Float64(0.01), KeepBuilds: 2}
		if _, err := w.builds.SetBuildPolicy(ctx, &ngramv1.SetBuildPolicyRequest{Model: "m", Policy: policy}); err != nil {
			t.Fatal(err)
		}
		worse := func(label, held string) uint32 {
			t.Helper()
			if _, err := w.builds.SetHeldOut(ctx, &ngramv1.SetHeldOutRequest{Model: "m", Text: []byte(held)}); err != nil {
				t.Fatal(err)
			}
			var other strings.Builder
			for i := range 300 {
				fmt.Fprintf(&other, "%s%d %s%d w%d\n", label, i, label, i*7%299, i*11%299)
			}
			w.take(t, "m", map[string]string{label: other.String()})
			before, _, err := evaluate(t, w.inference, &ngramv1.EvaluateHeader{Model: "m"}, held)
			if err != nil {
				t.Fatal(err)
			}
			_, err = w.create(ctx, &ngramv1.CreateBuildRequest{Model: "m", Publish: true})
			if want := fmt.Sprintf("serves has %.3f", before.PerplexityIncludingOov); errors.ReasonOf(err) != "BUILD_WORSE" || !strings.Contains(errors.Public(err), want) {
				t.Fatalf("error %v, not %q", err, want)
			}
			list, err := w.builds.ListBuilds(ctx, &ngramv1.ListBuildsRequest{Model: "m"})
			if err != nil || len(list.Builds) != 2 || list.Builds[1].BuildId != good.BuildId || !list.Builds[1].Published {
				t.Fatalf("%v, error %v", list, err)
			}
			return list.Builds[0].BuildId
		}
		worse("b", lines(2, 20)+"an unknown word\n")
		last := worse("c", lines(3, 20))
		// A build by hand too, of a text that neither was measured on.
		if _, err := w.builds.SetHeldOut(ctx, &ngramv1.SetHeldOutRequest{Model: "m", Text: []byte(lines(4, 20))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.builds.PublishBuild(ctx, &ngramv1.PublishBuildRequest{Model: "m", BuildId: last}); errors.ReasonOf(err) != "BUILD_WORSE" {
			t.Errorf("error %v", err)
		}
		if _, err := w.builds.PublishBuild(ctx, &ngramv1.PublishBuildRequest{Model: "m", BuildId: last, Force: true}); err != nil {
			t.Error(err)
		}
	})
}

// Retention keeps the newest builds, what serves, and what served before.
func TestRetention(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		w := dialWhole(t, db, Options{})
		w.take(t, "m", map[string]string{"0": lines(0, 30)})
		policy := &ngramv1.BuildPolicy{KeepBuilds: 2}
		set, err := w.builds.SetBuildPolicy(ctx, &ngramv1.SetBuildPolicyRequest{Model: "m", Policy: policy})
		if err != nil || set.Policy.KeepBuilds != 2 || set.Policy.Storage != ngramv1.Storage_STORAGE_8 {
			t.Fatalf("%v, error %v", set, err)
		}
		kept := func() (ids []uint32) {
			list, err := w.builds.ListBuilds(ctx, &ngramv1.ListBuildsRequest{Model: "m"})
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range list.Builds {
				ids = append(ids, b.BuildId)
			}
			return ids
		}
		var made []uint32
		for i := range 3 {
			w.take(t, "m", map[string]string{fmt.Sprint(i + 1): lines(i+1, 10)})
			made = append(made, w.build(ctx, t, &ngramv1.CreateBuildRequest{Model: "m", Publish: true}).BuildId)
		}
		if got := kept(); fmt.Sprint(got) != fmt.Sprint([]uint32{made[2], made[1]}) {
			t.Errorf("kept %v of %v", got, made)
		}
		for i := range 3 { // not published: build 3 goes on serving, build 2 is what rollback goes to
			w.take(t, "m", map[string]string{fmt.Sprint("u", i): lines(i+9, 10)})
			made = append(made, w.build(ctx, t, &ngramv1.CreateBuildRequest{Model: "m"}).BuildId)
		}
		if got := kept(); fmt.Sprint(got) != fmt.Sprint([]uint32{made[5], made[2], made[1]}) {
			t.Errorf("kept %v of %v", got, made)
		}
		if _, err := w.builds.SetBuildPolicy(ctx, &ngramv1.SetBuildPolicyRequest{Model: "m", Policy: &ngramv1.BuildPolicy{DiskBudgetBytes: 1}}); err != nil {
			t.Fatal(err)
		}
		made = append(made, w.build(ctx, t, &ngramv1.CreateBuildRequest{Model: "m", Publish: true}).BuildId)
		if got := kept(); fmt.Sprint(got) != fmt.Sprint([]uint32{made[6], made[2]}) {
			t.Errorf("with a budget of a byte, kept %v of %v", got, made)
		}
	})
}

// Jobs are listed, can be attached to, survive their client if asked to, and can be cancelled from anywhere.
func TestJobs(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		w := dialWhole(t, db, Options{})
		w.take(t, "m", map[string]string{"a": lines(1, 200)})
		// A client that vanishes after the first message.
		for _, keep := range []bool{true, false} {
			leaving, leave := context.WithCancel(ctx)
			stream, err := w.builds.CreateBuild(leaving, &ngramv1.CreateBuildRequest{Model: "m", KeepRunning: keep, Publish: true, Trainer: "ada"})
			if err != nil {
				t.Fatal(err)
			}
			first, err := stream.Recv()
			if err != nil || first.GetJobId() == "" {
				t.Fatalf("%v, error %v", first, err)
			}
			leave()
			job := w.wait(t, first.GetJobId())
			if keep && (job.State != ngramv1.Job_STATE_DONE || job.BuildId == 0 || job.Owner != "ada" || job.Kind != ngramv1.Job_KIND_BUILD || job.FinishTime == nil) {
				t.Errorf("a surviving job: %v", job)
			}
			if !keep && job.State != ngramv1.Job_STATE_CANCELLED && job.State != ngramv1.Job_STATE_DONE { // it may have been faster
				t.Errorf("a job whose client went: %v", job)
			}
		}
		// Texts that arrived whole are counted though the client vanished.
		leaving, leave := context.WithCancel(ctx)
		s := w.ingest(leaving, t, &ngramv1.IngestHeader{Model: "m", KeepRunning: true})
		opened, err := s.stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		for label, text := range map[string]string{"b": lines(2, 50)} {
			s.document(label, text, nil)
		}
		s.send(&ngramv1.IngestRequest{Part: &ngramv1.IngestRequest_Start{Start: &ngramv1.DocumentStart{Label: "cut"}}})
		time.Sleep(20 * time.Millisecond)
		leave()
		job := w.wait(t, opened.GetOpened().GetJobId())
		documents, err := w.corpus.ListDocuments(ctx, &ngramv1.ListDocumentsRequest{Model: "m"})
		if err != nil {
			t.Fatal(err)
		}
		if len(documents.Documents) == 1 && job.State == ngramv1.Job_STATE_CANCELLED {
			t.Log("the stream ended before the document arrived")
		} else if len(documents.Documents) != 2 || documents.Documents[1].Label != "b" {
			t.Errorf("%v after %v", documents, job)
		}

		list, err := w.jobs.ListJobs(ctx, &ngramv1.ListJobsRequest{Model: "m", PageSize: 2})
		if err != nil || len(list.Jobs) != 2 || list.NextPageToken == "" || list.Jobs[0].JobId != job.JobId {
			t.Fatalf("%v, error %v", list, err)
		}
		rest, err := w.jobs.ListJobs(ctx, &ngramv1.ListJobsRequest{Model: "m", PageSize: 2, PageToken: list.NextPageToken})
		if err != nil || len(rest.Jobs) != 2 {
			t.Errorf("%v, error %v", rest, err)
		}
		missing := "01890000-0000-7000-8000-000000000000"
		for name, err := range map[string]error{
			"get":  func() error { _, err := w.jobs.GetJob(ctx, &ngramv1.GetJobRequest{JobId: missing}); return err }(),
			"stop": func() error { _, err := w.jobs.CancelJob(ctx, &ngramv1.CancelJobRequest{JobId: missing}); return err }(),
			"else": func() error {
				_, err := w.jobs.GetJob(ctx, &ngramv1.GetJobRequest{JobId: job.JobId, Tenant: "other"})
				return err
			}(),
		} {
			if errors.ReasonOf(err) != "JOB_NOT_FOUND" {
				t.Errorf("%s: error %v", name, err)
			}
		}
		// A waiting ingest is cancelled by somebody else, and the model is free at once.
		s = w.ingest(ctx, t, &ngramv1.IngestHeader{Model: "m"})
		if opened, err = s.stream.Recv(); err != nil {
			t.Fatal(err)
		}
		if _, err := w.create(ctx, &ngramv1.CreateBuildRequest{Model: "m"}); errors.ReasonOf(err) != "MODEL_IN_TRAINING" {
			t.Errorf("two jobs of one model: error %v", err)
		}
		id := opened.GetOpened().GetJobId()
		if got, err := w.jobs.CancelJob(ctx, &ngramv1.CancelJobRequest{JobId: id}); err != nil || got.Job.State != ngramv1.Job_STATE_RUNNING {
			t.Errorf("%v, error %v", got, err)
		}
		if _, err := s.stream.Recv(); errors.ReasonOf(err) != "JOB_CANCELLED" {
			t.Errorf("error %v", err)
		}
		if got := w.wait(t, id); got.State != ngramv1.Job_STATE_CANCELLED {
			t.Errorf("%v", got)
		}
		w.build(ctx, t, &ngramv1.CreateBuildRequest{Model: "m"})
		// A job whose process died is seen as such.
		if _, err := db.Exec(ctx, `UPDATE tbl_l1_jobs SET state = 'running', finished_at = NULL, lease_until = 1 WHERE job_id = ?`, id); err != nil {
			t.Fatal(err)
		}
		if got := w.wait(t, id); got.State != ngramv1.Job_STATE_INTERRUPTED || got.Message == "" {
			t.Errorf("%v", got)
		}
	})
}

// A training whose time is up stops at a checkpoint; the same call goes on, and the counts are those of one that was not
// stopped.
func TestPausedIngest(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		w := dialWhole(t, db, Options{})
		s := w.ingest(ctx, t, &ngramv1.IngestHeader{Model: "m", Settings: line, MaxRuntimeSeconds: 1})
		opened, err := s.stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		s.document("a", lines(1, 20), nil)
		if got, err := s.outcome(); err != nil || got != "a OUTCOME_COUNTED" {
			t.Fatalf("%q, error %v", got, err)
		}
		// The client waits for ever; the service does not.
		resp, err := s.stream.Recv()
		if err != nil || resp.GetPaused() == nil {
			t.Fatalf("%v, error %v", resp, err)
		}
		if _, err := s.stream.Recv(); err != io.EOF {
			t.Errorf("error %v", err)
		}
		if job := w.wait(t, opened.GetOpened().GetJobId()); job.State != ngramv1.Job_STATE_PAUSED || job.Message == "" {
			t.Errorf("%v", job)
		}
		w.take(t, "m", map[string]string{"a": lines(1, 20), "b": lines(2, 20)})
		model, err := w.models.GetModel(ctx, &ngramv1.GetModelRequest{Model: "m"})
		if err != nil || model.Model.Documents != 2 {
			t.Errorf("%v, error %v", model, err)
		}
	})
}

// Policies build once so many documents are there, or time has passed, and only if counts changed; two replicas make one
// build.
func TestPolicies(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		w := dialWhole(t, db, Options{PolicyEvery: 50 * time.Millisecond})
		dialWhole(t, db, Options{PolicyEvery: 50 * time.Millisecond})
		w.take(t, "m", map[string]string{"a": lines(1, 20)})
		if _, err := w.builds.SetBuildPolicy(ctx, &ngramv1.SetBuildPolicyRequest{Model: "m", Policy: &ngramv1.BuildPolicy{AfterDocuments: 2, Storage: ngramv1.Storage_STORAGE_16}}); err != nil {
			t.Fatal(err)
		}
		builds := func() []*ngramv1.Build {
			list, err := w.builds.ListBuilds(ctx, &ngramv1.ListBuildsRequest{Model: "m", IncludeEnded: true})
			if err != nil {
				t.Fatal(err)
			}
			return list.Builds
		}
		time.Sleep(300 * time.Millisecond)
		if got := builds(); len(got) != 0 {
			t.Fatalf("one document of two, and %v", got)
		}
		w.take(t, "m", map[string]string{"b": lines(2, 20)})
		deadline := time.Now().Add(30 * time.Second)
		for len(builds()) == 0 || !builds()[0].Published {
			if time.Now().After(deadline) {
				t.Fatal("the policy made no build")
			}
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(300 * time.Millisecond)
		if got := builds(); len(got) != 1 || got[0].Storage != ngramv1.Storage_STORAGE_16 {
			t.Errorf("%v", got)
		}
		list, err := w.jobs.ListJobs(ctx, &ngramv1.ListJobsRequest{Model: "m"})
		if err != nil || list.Jobs[0].Owner != policyOwner || list.Jobs[0].Kind != ngramv1.Job_KIND_BUILD {
			t.Errorf("%v, error %v", list, err)
		}
		got, err := w.builds.GetBuildPolicy(ctx, &ngramv1.GetBuildPolicyRequest{Model: "m"})
		if err != nil || got.Policy.AfterDocuments != 2 || got.LastRunTime == nil {
			t.Errorf("%v, error %v", got, err)
		}
		for _, bad := range []*ngramv1.BuildPolicy{{EverySeconds: 3}, {MaxPerplexityIncrease: proto.Float64(-1)}, nil} {
			if _, err := w.builds.SetBuildPolicy(ctx, &ngramv1.SetBuildPolicyRequest{Model: "m", Policy: bad}); errors.KindOf(err) != errors.InvalidArgument {
				t.Errorf("%v: error %v", bad, err)
			}
		}
		if _, err := w.builds.SetBuildPolicy(ctx, &ngramv1.SetBuildPolicyRequest{Model: "none", Policy: &ngramv1.BuildPolicy{}}); errors.KindOf(err) != errors.NotFound {
			t.Errorf("error %v", err)
		}
	})
}

// A schedule builds once so long after the last build, if counts changed since, however many replicas look.
func TestSchedule(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		var passed atomic.Int64
		options := Options{PolicyEvery: 20 * time.Millisecond, Clock: func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }}
		w := dialWhole(t, db, options)
		dialWhole(t, db, options)
		w.take(t, "m", map[string]string{"a": lines(1, 20)})
		builds := func() int {
			list, err := w.builds.ListBuilds(t.Context(), &ngramv1.ListBuildsRequest{Model: "m", IncludeEnded: true})
			if err != nil {
				t.Fatal(err)
			}
			if len(list.Builds) > 0 && !list.Builds[0].Published {
				return len(list.Builds) - 1
			}
			return len(list.Builds)
		}
		expect := func(when string, want int) {
			t.Helper()
			for end := time.Now().Add(30 * time.Second); builds() < want && time.Now().Before(end); {
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(100 * time.Millisecond) // five looks of two replicas
			if got := builds(); got != want {
				t.Errorf("%s: %d builds, want %d", when, got, want)
			}
		}
		expect("without a policy", 0)
		if _, err := w.builds.SetBuildPolicy(t.Context(), &ngramv1.SetBuildPolicyRequest{Model: "m", Policy: &ngramv1.BuildPolicy{EverySeconds: 3600}}); err != nil {
			t.Fatal(err)
		}
		expect("there was no build yet", 1)
		w.take(t, "m", map[string]string{"b": lines(2, 20)})
		passed.Add(int64(59 * time.Minute))
		expect("an hour has not passed", 1)
		passed.Add(int64(2 * time.Minute))
		expect("an hour has passed", 2)
		passed.Add(int64(24 * time.Hour))
		expect("nothing changed", 2)
		w.take(t, "m", map[string]string{"c": lines(3, 20)})
		expect("text arrived a day later", 3)
	})
}

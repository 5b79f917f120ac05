package server

import (
	"io"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram/store"
)

// A rebuilding is a job; what it makes can be built and answers, and a refused one makes nothing.
func TestRebuildModel(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		w := dialWhole(t, db, Options{})
		w.take(t, "m", map[string]string{"a": lines(1, 40), "b": lines(2, 40)})
		client := ngramv1.NewRebuildServiceClient(w.conn)
		rebuild := func(req *ngramv1.RebuildModelRequest) (job string, model *ngramv1.Model, err error) {
			stream, err := client.RebuildModel(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			for {
				resp, err := stream.Recv()
				if err == io.EOF {
					return job, model, nil
				}
				if err != nil {
					return job, model, err
				}
				if resp.GetJobId() != "" {
					job = resp.GetJobId()
				}
				if resp.GetModel() != nil {
					model = resp.GetModel()
				}
			}
		}
		job, model, err := rebuild(&ngramv1.RebuildModelRequest{Model: "m", Target: "m5", Settings: &ngramv1.ModelSettings{Order: 5}, MaxRuntimeSeconds: 3600})
		if err != nil || model.GetSettings().GetOrder() != 5 || model.GetDocuments() != 2 {
			t.Fatal(model, err)
		}
		if done := w.wait(t, job); done.Kind != ngramv1.Job_KIND_REBUILD || done.State != ngramv1.Job_STATE_DONE || done.Done != 2 || done.Total != 2 || done.Model != "m" {
			t.Error(done)
		}
		job, _, err = rebuild(&ngramv1.RebuildModelRequest{Model: "m", Target: "other", Settings: &ngramv1.ModelSettings{Normalization: ngramv1.Normalization_NORMALIZATION_NONE}})
		if errors.KindOf(err) != errors.FailedPrecondition || errors.ReasonOf(err) != "TEXT_NORMALISED" {
			t.Error(err)
		}
		if failed := w.wait(t, job); failed.State != ngramv1.Job_STATE_FAILED || failed.Message == "" {
			t.Error(failed)
		}
		if _, err := w.models.GetModel(t.Context(), &ngramv1.GetModelRequest{Model: "other"}); errors.KindOf(err) != errors.NotFound {
			t.Error(err)
		}
	})
}

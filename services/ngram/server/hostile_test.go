package server

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/ngramtest"
	"dbslm/services/ngram/store"
)

// rawBytes is a codec for a client that sends what it likes.
type rawBytes struct{}

func (rawBytes) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (rawBytes) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), b...)
	return nil
}
func (rawBytes) Name() string { return "proto" }

// Texts that are too large, not UTF-8 or empty, and builds that are not there, get a status that names the caller's mistake,
// or the answer that is due.
func TestHostileRequests(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		settings := ngram.Settings{Order: 2, Tokenizer: ngram.TokenizerWhitespace}
		first := ngramtest.Train(t, db, "m", settings, ngram.BuildOptions{}, rhymes)
		conn := levelOne(t, db, Options{}).Local()
		client := ngramv1.NewInferenceServiceClient(conn)
		score := func(texts ...string) error {
			return second(client.Score(t.Context(), &ngramv1.ScoreRequest{Model: "m", Texts: texts, Tokens: true}))
		}
		many := make([]string, 1001)
		for name, test := range map[string]struct {
			err    error
			kind   errors.Kind
			reason string
		}{
			"10 MB in one text":     {score(strings.Repeat("the cat ", 1_250_000)), errors.ResourceExhausted, "MESSAGE_TOO_LARGE"},
			"10 MB in many texts":   {score(strings.Repeat("x", 5<<20), strings.Repeat("y ", 5<<19)), errors.ResourceExhausted, "MESSAGE_TOO_LARGE"},
			"no texts":              {score(), errors.InvalidArgument, ""},
			"1001 texts":            {score(many...), errors.InvalidArgument, ""},
			"an unknown build":      {second(client.Score(t.Context(), &ngramv1.ScoreRequest{Model: "m", BuildId: 99, Texts: many[:1]})), errors.NotFound, "BUILD_NOT_FOUND"},
			"the greatest build":    {second(client.Predict(t.Context(), &ngramv1.PredictRequest{Model: "m", BuildId: 1<<32 - 1})), errors.NotFound, "BUILD_NOT_FOUND"},
			"no model":              {second(client.Predict(t.Context(), &ngramv1.PredictRequest{})), errors.InvalidArgument, ""},
			"a context of 2 MiB":    {second(client.Predict(t.Context(), &ngramv1.PredictRequest{Model: "m", Context: strings.Repeat("x", 2<<20)})), errors.InvalidArgument, ""},
			"1001 predictions":      {second(client.Predict(t.Context(), &ngramv1.PredictRequest{Model: "m", TopK: 1001})), errors.InvalidArgument, ""},
			"a name of 200 bytes":   {second(client.Predict(t.Context(), &ngramv1.PredictRequest{Model: strings.Repeat("m", 200)})), errors.InvalidArgument, ""},
			"a name with a space":   {second(client.Predict(t.Context(), &ngramv1.PredictRequest{Model: "m "})), errors.NotFound, "MODEL_NOT_FOUND"},
			"wildcards for a model": {second(client.Predict(t.Context(), &ngramv1.PredictRequest{Model: "%"})), errors.NotFound, "MODEL_NOT_FOUND"},
		} {
			if errors.KindOf(test.err) != test.kind || test.reason != "" && errors.ReasonOf(test.err) != test.reason {
				t.Errorf("%s: %v", name, test.err)
			}
		}
		if db.Dialect() == database.SQLite { // the engine does not matter, and it takes seconds
			if err := score(strings.Repeat("a ", 900_000)); errors.KindOf(err) != errors.ResourceExhausted || errors.ReasonOf(err) != "MESSAGE_TOO_LARGE" {
				t.Errorf("an answer of 20 MB: %v", err)
			}
		}
		// A text of 2 MB is scored, and empty texts have no tokens.
		got, err := client.Score(t.Context(), &ngramv1.ScoreRequest{Model: "m", Texts: []string{strings.Repeat("the cat ", 250_000), "", "\x00"}})
		if err != nil || got.GetScores()[0].GetTokens() < 500_000 || got.GetScores()[1].GetTokens() != 0 {
			t.Errorf("2 MB: %v, %v", got.GetScores(), err)
		}

		// Strings that are not UTF-8, as a client in another language may send them.
		for method, body := range map[string]string{
			"Score": "\x12\x01m\x22\x02\xff\xfe", "Predict": "\x12\x01\xff", "Tokenize": "\x12\x01m\x22\x01\xff", "ListContexts": "\x12\x01m\x22\x01\xff",
		} {
			in, out := []byte(body), []byte(nil)
			err := conn.Invoke(t.Context(), "/dbslm.ngram.v1.InferenceService/"+method, &in, &out, grpc.ForceCodec(rawBytes{}))
			if errors.KindOf(err) != errors.InvalidArgument {
				t.Errorf("%s of invalid UTF-8: %v", method, err)
			}
		}

		// A build that was dropped.
		fresh := ngramtest.TrainWith(t, store.New(db, store.Options{}), "m", settings, ngram.BuildOptions{Storage: ngram.Storage16}, nil)
		err = store.New(db, store.Options{}).Train(t.Context(), ngram.DefaultTenant, "m", "a test", func(ctx context.Context, trainer *store.Trainer) error {
			_, err := trainer.Drop(ctx, first.ID)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Score(t.Context(), &ngramv1.ScoreRequest{Model: "m", BuildId: uint32(first.ID), Texts: []string{"the cat"}}); errors.ReasonOf(err) != "BUILD_DROPPED" ||
			errors.KindOf(err) != errors.FailedPrecondition {
			t.Errorf("a dropped build: %v", err)
		}
		if got, err := client.Score(t.Context(), &ngramv1.ScoreRequest{Model: "m", Texts: []string{"the cat"}}); err != nil || got.GetBuildId() != uint32(fresh.ID) {
			t.Errorf("the build after it: %v, %v", got, err)
		}
	})
}

// A model that is deleted while an evaluation runs ends it with an error that says so, and nothing of it is stored.
func TestDeletedWhileServing(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		ngramtest.Train(t, db, "m", ngram.Settings{Order: 3, Tokenizer: ngram.TokenizerWhitespace}, ngram.BuildOptions{}, rhymes)
		conn := levelOne(t, db, Options{}).Local()
		stream, err := ngramv1.NewInferenceServiceClient(conn).Evaluate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		send := func(request *ngramv1.EvaluateRequest) {
			t.Helper()
			if err := stream.Send(request); err != nil {
				t.Fatal(err)
			}
		}
		chunk := &ngramv1.EvaluateRequest{Part: &ngramv1.EvaluateRequest_Chunk{Chunk: []byte(strings.Repeat("the cat sat\n", 3000))}}
		send(&ngramv1.EvaluateRequest{Part: &ngramv1.EvaluateRequest_Header{Header: &ngramv1.EvaluateHeader{Model: "m", Store: true}}})
		send(chunk)
		if got, err := stream.Recv(); err != nil || got.GetProgress() == nil { // the build is open
			t.Fatalf("%v, %v", got, err)
		}
		if _, err := ngramv1.NewModelServiceClient(conn).DeleteModel(t.Context(), &ngramv1.DeleteModelRequest{Model: "m"}); err != nil {
			t.Fatal(err)
		}
		send(chunk)
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = stream.Recv()
		}
		if errors.KindOf(err) != errors.Aborted || errors.ReasonOf(err) != "BUILD_DROPPED" {
			t.Errorf("after the deletion: %v", err)
		}
		var rows int
		if err := db.QueryRow(t.Context(), `SELECT COUNT(*) FROM tbl_l1_evaluations`).Scan(&rows); err != nil || rows != 0 {
			t.Errorf("%d evaluations are stored, error %v", rows, err)
		}
		if _, err := ngramv1.NewInferenceServiceClient(conn).Score(t.Context(), &ngramv1.ScoreRequest{Model: "m", Texts: []string{"the"}}); errors.KindOf(err) != errors.NotFound {
			t.Errorf("the deleted model: %v", err)
		}
	})
}

func TestUnknownTargets(t *testing.T) {
	eachTiny(t, func(t *testing.T, db *database.DB, client ngramv1.InferenceServiceClient) {
		exec(t, db, `INSERT INTO tbl_l1_model_names (tenant, name, model_id, published_build, lease_until, created_at) VALUES ('default', 'fresh', 1, NULL, 0, 0)`)
		for name, test := range map[string]struct {
			request *ngramv1.PredictRequest
			kind    errors.Kind
			reason  string
		}{
			"model":  {&ngramv1.PredictRequest{Model: "nobody"}, errors.NotFound, "MODEL_NOT_FOUND"},
			"tenant": {&ngramv1.PredictRequest{Model: tinyModel, Tenant: "other"}, errors.NotFound, "MODEL_NOT_FOUND"},
			"build":  {&ngramv1.PredictRequest{Model: tinyModel, BuildId: 8}, errors.NotFound, "BUILD_NOT_FOUND"},
			"none":   {&ngramv1.PredictRequest{Model: "fresh"}, errors.FailedPrecondition, "NO_PUBLISHED_BUILD"},
		} {
			_, err := client.Predict(t.Context(), test.request)
			if errors.KindOf(err) != test.kind || errors.ReasonOf(err) != test.reason {
				t.Errorf("%s: %v", name, err)
			}
		}
		exec(t, db, `UPDATE tbl_l1_builds SET state = 'dropped'`)
		if _, err := client.Predict(t.Context(), &ngramv1.PredictRequest{Model: tinyModel}); errors.ReasonOf(err) != "BUILD_DROPPED" {
			t.Errorf("dropped: %v", err)
		}
	})
}

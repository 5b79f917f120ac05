package server

import (
	"crypto/sha256"
	"math"
	"slices"
	"strings"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	"dbslm/pkg/rpc"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/ngramtest"
	"dbslm/services/ngram/store"
)

// levelOne dials every service of the level.
func levelOne(t testing.TB, db *database.DB, options Options) *rpc.Server {
	t.Helper()
	service := New(db, options)
	server := rpc.NewServer(rpc.Options{}, service)
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), service.Close()); err != nil {
			t.Error(err)
		}
	})
	return server
}

// rhymes is a small text whose words come back in many contexts.
const rhymes = `the cat sat on the mat
the dog sat on the log
a cat saw a dog on the mat
the bird saw the cat and the dog
and the mat saw the bird
`

// An evaluation is stored with its rows, from which plain SQL computes the same perplexities, and is listed, compared and
// deleted; it outlives its build and goes with its model.
func TestStoredEvaluations(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		settings := ngram.Settings{Order: 3, Tokenizer: ngram.TokenizerWhitespace}
		first := ngramtest.Train(t, db, "m", settings, ngram.BuildOptions{}, rhymes)
		ngramtest.Train(t, db, "other", settings, ngram.BuildOptions{Storage: ngram.StorageExact}, rhymes+strings.Repeat("the dog sat\n", 9))
		conn := levelOne(t, db, Options{}).Local()
		client, stored := ngramv1.NewInferenceServiceClient(conn), ngramv1.NewEvaluationServiceClient(conn)

		const text = "the zebra sat on the mat\na dog saw the bird\n"
		run := func(model string, build uint32, keep bool, text string) *ngramv1.Evaluation {
			t.Helper()
			e, _, err := evaluate(t, client, &ngramv1.EvaluateHeader{Model: model, BuildId: build, Store: keep, Label: "a\x00 text ", CheckMass: 3}, text)
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		if e := run("m", 0, false, text); e.GetEvaluationId() != "" {
			t.Errorf("stored without being asked: %v", e)
		}
		var runs []*ngramv1.Evaluation
		for _, model := range []string{"m", "other", "m"} {
			runs = append(runs, run(model, 0, true, text))
		}
		runs = append(runs, run("m", uint32(first.ID), true, "the dog\n"))

		for _, e := range runs {
			got, err := stored.GetEvaluation(t.Context(), &ngramv1.GetEvaluationRequest{EvaluationId: e.GetEvaluationId()})
			if err != nil {
				t.Fatal(err)
			}
			if micros := e.GetCreateTime().AsTime().UnixMicro(); got.GetEvaluation().GetCreateTime().AsTime().UnixMicro() != micros {
				t.Errorf("made at %v, stored as %v", e.GetCreateTime(), got.GetEvaluation().GetCreateTime())
			}
			got.Evaluation.CreateTime = e.GetCreateTime()
			if got.GetEvaluation().String() != e.String() {
				t.Errorf("answered %v\nstored   %v", e, got.GetEvaluation())
			}
			for where, want := range map[string]float64{"": e.GetPerplexityIncludingOov(), " AND oov = 0": e.GetPerplexityExcludingOov()} {
				var sql float64
				query := `SELECT POWER(10, -SUM(log10_sum) / SUM(tokens)) FROM tbl_l1_evaluation_orders WHERE evaluation_id = '` + e.GetEvaluationId() + `'` + where
				databasetest.ParseMySQL8(t, query)
				if err := db.QueryRow(t.Context(), query).Scan(&sql); err != nil || math.Abs(sql/want-1) > 1e-12 {
					t.Errorf("%s: SQL says %v, the service %v, error %v", query, sql, want, err)
				}
			}
		}
		if e := runs[0]; e.GetOov() != 1 || e.GetTextBytes() != uint64(len(text)) || string(e.GetTextSha256()) != string(hashOf(text)) ||
			math.Abs(e.GetBitsPerByte()+e.GetLog10Probability()*math.Log2(10)/float64(len(text))) > 1e-12 || e.GetLog10Oov() >= 0 {
			t.Errorf("%v", e)
		}

		list := func(request *ngramv1.ListEvaluationsRequest) (ids []string) {
			t.Helper()
			for {
				page, err := stored.ListEvaluations(t.Context(), request)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range page.GetEvaluations() {
					ids = append(ids, e.GetEvaluationId())
				}
				if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
					return ids
				}
			}
		}
		var all []string
		for _, e := range runs {
			all = append(all, e.GetEvaluationId())
		}
		newest := slices.Clone(all)
		slices.Reverse(newest)
		for name, test := range map[string]struct {
			request *ngramv1.ListEvaluationsRequest
			want    []string
		}{
			"all":   {&ngramv1.ListEvaluationsRequest{}, newest},
			"pages": {&ngramv1.ListEvaluationsRequest{PageSize: 1}, newest},
			"model": {&ngramv1.ListEvaluationsRequest{Model: "other", PageSize: 1}, all[1:2]},
			"build": {&ngramv1.ListEvaluationsRequest{Model: "m", BuildId: uint32(first.ID)}, []string{all[3], all[2], all[0]}},
			"text":  {&ngramv1.ListEvaluationsRequest{Model: "m", TextSha256: hashOf("the dog\n")}, all[3:]},
			"none":  {&ngramv1.ListEvaluationsRequest{Tenant: "nobody"}, nil},
		} {
			if got := list(test.request); !slices.Equal(got, test.want) {
				t.Errorf("%s: %v, want %v", name, got, test.want)
			}
		}

		compared, err := stored.CompareEvaluations(t.Context(), &ngramv1.CompareEvaluationsRequest{EvaluationIds: all})
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range compared.GetComparisons() {
			ratio := runs[i].GetPerplexityIncludingOov() / runs[0].GetPerplexityIncludingOov()
			if c.GetEvaluation().GetEvaluationId() != all[i] || c.GetSameText() != (i < 3) || c.GetSameTokens() != (i < 3) || c.GetPerplexityRatioIncludingOov() != ratio ||
				c.GetBitsPerByteDifference() != runs[i].GetBitsPerByte()-runs[0].GetBitsPerByte() {
				t.Errorf("comparison %d: %v", i, c)
			}
		}

		for name, test := range map[string]struct {
			err  error
			want errors.Kind
		}{
			"unknown id":       {second(stored.GetEvaluation(t.Context(), &ngramv1.GetEvaluationRequest{EvaluationId: "x"})), errors.NotFound},
			"another tenant's": {second(stored.GetEvaluation(t.Context(), &ngramv1.GetEvaluationRequest{Tenant: "nobody", EvaluationId: all[0]})), errors.NotFound},
			"one of two":       {second(stored.CompareEvaluations(t.Context(), &ngramv1.CompareEvaluationsRequest{EvaluationIds: []string{all[0], "x"}})), errors.NotFound},
			"one only":         {second(stored.CompareEvaluations(t.Context(), &ngramv1.CompareEvaluationsRequest{EvaluationIds: all[:1]})), errors.InvalidArgument},
			"unknown model":    {second(stored.ListEvaluations(t.Context(), &ngramv1.ListEvaluationsRequest{Model: "nobody"})), errors.NotFound},
			"build of nobody":  {second(stored.ListEvaluations(t.Context(), &ngramv1.ListEvaluationsRequest{BuildId: 1})), errors.InvalidArgument},
			"short hash":       {second(stored.ListEvaluations(t.Context(), &ngramv1.ListEvaluationsRequest{TextSha256: []byte("x")})), errors.InvalidArgument},
			"wrong page token": {second(stored.ListEvaluations(t.Context(), &ngramv1.ListEvaluationsRequest{PageToken: "x"})), errors.InvalidArgument},
			"deleting twice":   {second(stored.DeleteEvaluation(t.Context(), &ngramv1.DeleteEvaluationRequest{EvaluationId: "x"})), errors.NotFound},
		} {
			if errors.KindOf(test.err) != test.want {
				t.Errorf("%s: %v", name, test.err)
			}
		}

		if _, err := stored.DeleteEvaluation(t.Context(), &ngramv1.DeleteEvaluationRequest{EvaluationId: all[3]}); err != nil {
			t.Fatal(err)
		}
		if _, err := ngramv1.NewModelServiceClient(conn).DeleteModel(t.Context(), &ngramv1.DeleteModelRequest{Model: "m"}); err != nil {
			t.Fatal(err)
		}
		if got := list(&ngramv1.ListEvaluationsRequest{}); !slices.Equal(got, all[1:2]) {
			t.Errorf("after deleting one and the model of others: %v", got)
		}
		var rows int
		if err := db.QueryRow(t.Context(), `SELECT COUNT(DISTINCT evaluation_id) FROM tbl_l1_evaluation_orders`).Scan(&rows); err != nil || rows != 1 {
			t.Errorf("rows of %d evaluations are left, error %v", rows, err)
		}
	})
}

func hashOf(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

func second[T any](_ T, err error) error { return err }

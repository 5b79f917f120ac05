package server

import (
	"context"
	"testing"

	"google.golang.org/protobuf/proto"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/ngramtest"
	"dbslm/services/ngram/store"
)

// A reply of a build that is named and in memory is opened and steered by one statement, and says what it says otherwise. A build
// that was dropped, or is another model's, is refused although it is in memory.
func TestAPinnedBuildInMemory(t *testing.T) {
	databasetest.EachTarget(t, func(t *testing.T, target database.Target) {
		recorder := &databasetest.Recorder{}
		db := databasetest.Open(t, target, store.Schema, database.Options{Observer: recorder})
		settings := ngram.Settings{Order: 3, Tokenizer: ngram.TokenizerWords}
		first := ngramtest.Train(t, db, "m", settings, ngram.BuildOptions{}, story)
		ngramtest.Train(t, db, "other", settings, ngram.BuildOptions{}, story)
		conn := levelOne(t, db, Options{}).Local()
		client := ngramv1.NewInferenceServiceClient(conn)
		_, err := ngramv1.NewProfileServiceClient(conn).SetProfile(t.Context(), &ngramv1.SetProfileRequest{
			Profile: &ngramv1.Profile{Name: "terse", Model: "m", Parameters: &ngramv1.DecodeParameters{MaxTokens: proto.Uint32(4)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		const opening = "SELECT b.build_id, b.model_id, b.state" // the statement of Open
		reply := func(model string, build ngram.BuildID) (generation, int, error) {
			before := recorder.Count(opening)
			g, err := tryGenerate(t.Context(), client, &ngramv1.GenerateRequest{
				Model: model, BuildId: uint32(build), History: []string{"the lamp"}, Parameters: &ngramv1.DecodeParameters{Profile: "terse", Seed: proto.Uint64(1)},
			})
			return g, recorder.Count(opening) - before, err
		}
		if _, _, err := reply("m", 0); err != nil { // from now on it is in memory, with its contexts
			t.Fatal(err)
		}
		serving, opened, err := reply("m", 0)
		if err != nil {
			t.Fatal(err)
		}
		pinned, statements, err := reply("m", first.ID)
		if err != nil || pinned.finish.GetText() != serving.finish.GetText() || !proto.Equal(pinned.header, serving.header) {
			t.Errorf("pinned %v, serving %v, error %v", pinned, serving, err)
		}
		if statements != 0 || opened != 1 {
			t.Errorf("a pinned build is opened by %d statements of its own, the one that serves by %d", statements, opened)
		}
		if _, _, err := reply("other", first.ID); errors.ReasonOf(err) != "BUILD_NOT_FOUND" {
			t.Errorf("a build of another model: %v", err)
		}
		settled := store.New(db, store.Options{})
		ngramtest.TrainWith(t, settled, "m", settings, ngram.BuildOptions{Storage: ngram.Storage16}, nil)
		if again, _, err := reply("m", first.ID); err != nil || again.finish.GetText() != serving.finish.GetText() {
			t.Errorf("after another was published: %v, %v", again, err)
		}
		err = settled.Train(t.Context(), ngram.DefaultTenant, "m", "a test", func(ctx context.Context, trainer *store.Trainer) error {
			_, err := trainer.Drop(ctx, first.ID)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := reply("m", first.ID); errors.ReasonOf(err) != "BUILD_DROPPED" || errors.KindOf(err) != errors.FailedPrecondition {
			t.Errorf("a dropped build: %v", err)
		}
	})
}

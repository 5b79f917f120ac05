package server

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/ngramtest"
	"dbslm/services/ngram/store"
)

func TestProfilesAndBans(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		settings := ngram.Settings{Order: 3, Tokenizer: ngram.TokenizerWords}
		ngramtest.Train(t, db, "m", settings, ngram.BuildOptions{}, story)
		server := levelOne(t, db, Options{})
		client := ngramv1.NewProfileServiceClient(server.Local())
		inference := ngramv1.NewInferenceServiceClient(server.Local())
		set := func(tenant, model, name string, p *ngramv1.DecodeParameters) error {
			_, err := client.SetProfile(ctx, &ngramv1.SetProfileRequest{Tenant: tenant, Profile: &ngramv1.Profile{Name: name, Model: model, Parameters: p}})
			return err
		}
		words := func(profile string) uint32 {
			reply := generate(t, inference, &ngramv1.GenerateRequest{Model: "m", Parameters: &ngramv1.DecodeParameters{Profile: profile, Seed: proto.Uint64(1)}})
			return reply.header.GetParameters().GetMaxTokens()
		}
		for model, tokens := range map[string]uint32{"": 7, "m": 3} {
			if err := set("", model, "terse", &ngramv1.DecodeParameters{MaxTokens: proto.Uint32(tokens), BalanceMarks: proto.Bool(false)}); err != nil {
				t.Fatal(err)
			}
		}
		if got := words("terse"); got != 3 {
			t.Errorf("the profile of the model sets %d tokens, want 3", got)
		}
		list := func() (names []string) {
			resp, err := client.ListProfiles(ctx, &ngramv1.ListProfilesRequest{Model: "m"})
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range resp.Profiles {
				names = append(names, p.Name+"/"+p.Model)
			}
			return names
		}
		if diff := cmp.Diff([]string{"default/", "plain/", "terse/m", "terse/"}, list()); diff != "" {
			t.Error(diff)
		}
		ban := func(model, text string) error {
			_, err := client.AddBan(ctx, &ngramv1.AddBanRequest{Ban: &ngramv1.Ban{Model: model, Text: text}})
			return err
		}
		for range 2 { // the second time nothing changes
			if err := errors.Join(ban("m", "the wind"), ban("", "nails")); err != nil {
				t.Fatal(err)
			}
		}

		// A model that is reset keeps what is stored for it.
		models := ngramv1.NewModelServiceClient(server.Local())
		if _, err := models.ResetModel(ctx, &ngramv1.ResetModelRequest{Model: "m"}); err != nil {
			t.Fatal(err)
		}
		if err := set("", "m", "both", &ngramv1.DecodeParameters{MaxTokens: proto.Uint32(5)}); err != nil {
			t.Fatal(err)
		}
		if got := words("both"); got != 5 {
			t.Errorf("the build that serves until the next one does not know the profile: %d", got)
		}
		ngramtest.Train(t, db, "m", settings, ngram.BuildOptions{}, story)
		if a, b := words("terse"), words("both"); a != 3 || b != 5 {
			t.Errorf("after a reset the profiles set %d and %d tokens", a, b)
		}
		bans, err := client.ListBans(ctx, &ngramv1.ListBansRequest{Model: "m"})
		if err != nil || len(bans.Bans) != 2 || bans.Bans[0].Text != "nails" || bans.Bans[1].Model != "m" {
			t.Errorf("bans after a reset: %v, error %v", bans, err)
		}

		for name, err := range map[string]error{
			"a profile of nothing":            set("", "m", "x", &ngramv1.DecodeParameters{}),
			"a seed":                          set("", "m", "x", &ngramv1.DecodeParameters{Seed: proto.Uint64(1)}),
			"a name of spaces":                set("", "m", " x", &ngramv1.DecodeParameters{TopK: proto.Uint32(1)}),
			"another tenant, for all models":  set("other", "", "x", &ngramv1.DecodeParameters{TopK: proto.Uint32(1)}),
			"a temperature out of range":      set("", "m", "x", &ngramv1.DecodeParameters{Temperature: proto.Float64(11)}),
			"a ban of spaces":                 ban("m", "  "),
			"a ban of more than 256 bytes":    ban("m", string(make([]byte, 257))),
			"a profile without a name at all": set("", "m", "", &ngramv1.DecodeParameters{TopK: proto.Uint32(1)}),
		} {
			if errors.KindOf(err) != errors.InvalidArgument {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := set("", "unheard", "x", &ngramv1.DecodeParameters{TopK: proto.Uint32(1)}); errors.KindOf(err) != errors.NotFound {
			t.Errorf("a model that is not there: %v", err)
		}
		remove := func() error {
			_, err := client.DeleteProfile(ctx, &ngramv1.DeleteProfileRequest{Model: "m", Name: "terse"})
			return err
		}
		if err := remove(); err != nil {
			t.Error(err)
		}
		if err := remove(); errors.KindOf(err) != errors.NotFound {
			t.Errorf("deleting again: %v", err)
		}
		if got := words("terse"); got != 7 {
			t.Errorf("the profile for all models sets %d tokens, want 7", got)
		}
		lift := func() error {
			_, err := client.RemoveBan(ctx, &ngramv1.RemoveBanRequest{Ban: &ngramv1.Ban{Text: "nails"}})
			return err
		}
		if err := lift(); err != nil {
			t.Error(err)
		}
		if err := lift(); errors.KindOf(err) != errors.NotFound {
			t.Errorf("lifting again: %v", err)
		}

		// The weight of the session cache comes from its table.
		weight := func(history string) float64 {
			reply := generate(t, inference, &ngramv1.GenerateRequest{Model: "m", History: []string{history}, Parameters: &ngramv1.DecodeParameters{Seed: proto.Uint64(1)}})
			return reply.header.GetParameters().GetCacheWeight()
		}
		if a, b, none := weight("the lamp"), weight(story), weight(""); a != 0.12 || b != 0.15 || none != 0 {
			t.Errorf("weights %g, %g and %g", a, b, none)
		}
		exec(t, db, `INSERT INTO tbl_decode_cache_weights (model_id, tokens, weight) VALUES (0, 2, 0.5)`)
		if got := weight("the lamp"); got != 0.5 {
			t.Errorf("with a row of its own the weight is %g", got)
		}
		// Rows of the model are read instead of those for all models, fewest tokens first, to the last bit.
		exec(t, db, `INSERT INTO tbl_decode_cache_weights (model_id, tokens, weight)
SELECT model_id, 1000, 0.75 FROM tbl_l1_model_names WHERE name = 'm'`)
		exec(t, db, `INSERT INTO tbl_decode_cache_weights (model_id, tokens, weight)
SELECT model_id, 1, 0.12345678901234567 FROM tbl_l1_model_names WHERE name = 'm'`)
		if got := weight("the lamp"); got != 0.12345678901234567 {
			t.Errorf("with rows of its own the weight is %.17g", got)
		}
	})
}

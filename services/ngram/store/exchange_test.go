package store_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/goldentest"
	"dbslm/services/ngram/ngramtest"
	"dbslm/services/ngram/store"
)

func exportARPA(t testing.TB, db *database.DB, name string, id ngram.BuildID) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := store.NewReader(db, store.ReaderOptions{}).ExportARPA(context.Background(), ngram.DefaultTenant, name, id, &out, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func importFile(t testing.TB, db *database.DB, name string, in store.Import) (ngram.Model, ngram.Build) {
	t.Helper()
	model, build, err := store.New(db, store.Options{PartRows: 7}).Import(context.Background(), ngram.DefaultTenant, name, in, nil)
	if err != nil {
		t.Fatal(err)
	}
	return model, build
}

var lines3 = ngram.Settings{Order: 3, Tokenizer: ngram.TokenizerWhitespace}

func number(t testing.TB, s string) float64 {
	t.Helper()
	value, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// The file that KenLM estimates of the tiny text is what we export of it: the same lines in the same order, the numbers as
// near as KenLM's single precision is.
func TestTinyARPA(t *testing.T) {
	for _, c := range goldentest.Cases(t) {
		if c.ARPA == "" {
			continue
		}
		databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
			text, err := os.ReadFile(c.TrainFile)
			if err != nil {
				t.Fatal(err)
			}
			ngramtest.Train(t, db, "tiny", lines3, ngram.BuildOptions{Storage: ngram.StorageExact, KenLMQuirk: c.Quirk}, string(text))
			got := exportARPA(t, db, "tiny", 0)
			golden, err := os.ReadFile(c.ARPA)
			if err != nil {
				t.Fatal(err)
			}
			gotLines, wantLines := strings.Split(string(got), "\n"), strings.Split(string(golden), "\n")
			if len(gotLines) != len(wantLines) {
				t.Fatalf("%d lines, KenLM writes %d", len(gotLines), len(wantLines))
			}
			for i, want := range wantLines {
				g, w := strings.Split(gotLines[i], "\t"), strings.Split(want, "\t")
				same := len(g) == len(w)
				for f := range w {
					if same && len(w) > 1 && f != 1 {
						same = math.Abs(number(t, g[f])-number(t, w[f])) < 1e-6
					} else {
						same = same && g[f] == w[f]
					}
				}
				if !same {
					t.Errorf("line %d is %q, KenLM writes %q", i+1, gotLines[i], want)
				}
			}
		})
	}
}

// KenLM's own file is read exactly: what is exported of it has every number, and its scores are KenLM's.
func TestImportedTinyARPA(t *testing.T) {
	for _, c := range goldentest.Cases(t) {
		if c.ARPA == "" {
			continue
		}
		databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
			golden, err := os.ReadFile(c.ARPA)
			if err != nil {
				t.Fatal(err)
			}
			model, build := importFile(t, db, "tiny", store.Import{Format: store.FormatARPA, File: bytes.NewReader(golden), Storage: ngram.StorageExact})
			if model.Settings.Order != 3 || model.Counted() || model.Published != build.ID || build.Smoothing != ngram.Imported {
				t.Errorf("%+v %+v", model, build)
			}
			if got := exportARPA(t, db, "tiny", 0); !bytes.Equal(got, golden) {
				t.Errorf("exported:\n%s", got)
			}
		})
	}
}

// badARPA are files that are refused, with the place and what was expected there.
var badARPA = []struct{ name, from, to, want string }{
	{"no header", `\data\`, `data`, `line 1, column 1: expected \data\, found "data"`},
	{"an order left out of the header", "ngram 2=22\n", "", `line 3, column 1: expected "ngram 2=" and a count, or \1-grams:, found "ngram 3=30"`},
	{"a count that is none", "ngram 2=22", "ngram 2=many", `line 3, column 9: expected a count, found "many"`},
	{"too great a count in the header", "ngram 2=22", "ngram 2=23", `line 45, column 1: expected 1 more n-grams of order 2, as the header says, found "\\3-grams:"`},
	{"too small a count in the header", "ngram 2=22", "ngram 2=21", `line 43, column 1: expected \3-grams:, found "-0.83936334\tthe bird\t-0.16914244"`},
	{"a file cut off", "-0.41780052\t<s> the bird\n\n\\end\\\n", "", `line 75, column 1: expected 1 more n-grams of order 3, as the header says, found the end of the file`},
	{"a file without its end", "\\end\\\n", "", `line 77, column 1: expected \end\, found the end of the file`},
	{"more after the end", "\\end\\\n", "\\end\\\nmore\n", `line 78, column 1: expected the end of the file, found "more"`},
	{"a positive logarithm", "-0.43530843\t<s> a", "0.43530843\t<s> a", `line 24, column 1: expected a base-ten logarithm of a probability, at most 0, found "0.43530843"`},
	{"no number", "-0.43530843\t<s> a", "minus\t<s> a", `line 24, column 1: expected a base-ten logarithm of a probability, at most 0, found "minus"`},
	{"infinity", "-0.43530843\t<s> a", "+Inf\t<s> a", `line 24, column 1: expected a base-ten logarithm of a probability, at most 0, found "+Inf"`},
	{"a weight that is none", "\t-0.15892328", "\theavy", `line 24, column 19: expected a base-ten logarithm of a backoff weight, found "heavy"`},
	{"a weight at the highest order", "the bird\n\n\\end", "the bird\t-0.5\n\n\\end", `line 75, column 26: expected the end of the line, found "-0.5"`},
	{"a word missing", "-0.4159925\t<s> the\t-0.27256373", "-0.4159925\t<s>", `line 30, column 15: expected 2 words, as an n-gram of order 2 has, found 1 and the end of the line`},
	{"an unknown word", "<s> the\t-0.27256373", "<s> thee\t-0.27256373", `line 30, column 16: expected a word that is an n-gram of order 1, found "thee"`},
	{"an n-gram twice", "saw the\t-0.40857634", "on the\t-0.40857634", `line 33, column 13: expected every n-gram once, found the same n-gram as in line 31`},
	{"a word left out", "\tbird\t", "\tsaw\t", `line 38, column 12: expected a word that is an n-gram of order 1, found "bird"`},
	{"an n-gram without its prefix", "-0.16889042\tsaw a dog", "-0.16889042\tto a dog", `line 52, column 13: expected words of which all but the last are an n-gram of order 2, found none such`},
	{"an n-gram without its suffix", "-0.16889042\tsaw a dog", "-0.16889042\tsaw a bird", `line 52, column 13: expected words of which all but the first are an n-gram of order 2, found none such`},
	{"<s> in the end", "-0.95193225\tdog </s>", "-0.95193225\tdog <s>", `line 22, column 17: expected a word or </s>: <s> only begins an n-gram, found "<s>"`},
	{"no </s>", "-1.1485136\t</s>\t0", "-1.1485136\tstop\t0", `line 22, column 13: expected <s> and </s> among the n-grams of order 1, found none of one of them`},
	{"a word that is not UTF-8", "\tbird\t", "\tb\xefrd\t", `line 19, column 12: expected a word in UTF-8, found "b\xefrd"`},
}

// A bad file is refused with line, column and what was expected there, and leaves nothing.
func TestBadARPA(t *testing.T) {
	golden, err := os.ReadFile("../testdata/golden/tiny.arpa")
	if err != nil {
		t.Fatal(err)
	}
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		for _, bad := range badARPA {
			text := strings.Replace(string(golden), bad.from, bad.to, 1)
			if text == string(golden) {
				t.Fatalf("%s: nothing to replace", bad.name)
			}
			refuseImport(t, db, bad.name, store.Import{Format: store.FormatARPA, File: strings.NewReader(text)}, errors.InvalidArgument, bad.want)
		}
		whole := func() store.Import {
			return store.Import{Format: store.FormatARPA, File: bytes.NewReader(golden)}
		}
		order := whole()
		order.Settings.Order = 4
		refuseImport(t, db, "another order", order, errors.InvalidArgument, "the file is a model of order 3, not 4 as asked")
		ngramtest.Train(t, db, "small", lines3, ngram.BuildOptions{}, "a dog sat on the dog\n")
		words := whole()
		words.Vocabulary = "small"
		refuseImport(t, db, "another vocabulary", words, errors.InvalidArgument, `line 15, column 12: expected a word of model "small", found "cat"`)
		ngramtest.Train(t, db, "large", lines3, ngram.BuildOptions{}, "a dog sat on the cat ran to saw bird whale\n")
		words = whole()
		words.Vocabulary = "large"
		refuseImport(t, db, "a smaller vocabulary", words, errors.InvalidArgument, `1 words of model "large" are not in the file, "whale" for example`)
		ngramtest.Train(t, db, "same", lines3, ngram.BuildOptions{}, "a dog sat on the cat ran to saw bird\n")
		words = whole()
		words.Vocabulary = "same"
		importFile(t, db, "m", words)
		refuseImport(t, db, "a name that is taken", whole(), errors.AlreadyExists, `there is a model "m" already; import under another name, or delete it first`)
	})
}

func refuseImport(t *testing.T, db *database.DB, name string, in store.Import, kind errors.Kind, want string) {
	t.Helper()
	rows := rowsOf(t, db)
	_, _, err := store.New(db, store.Options{}).Import(t.Context(), tenant, "m", in, nil)
	if errors.KindOf(err) != kind || errors.Public(err) != want {
		t.Errorf("%s: %v (%v), want %s", name, err, errors.KindOf(err), want)
	}
	if diff := cmp.Diff(rows, rowsOf(t, db)); diff != "" {
		t.Errorf("%s left rows (-before +after):\n%s", name, diff)
	}
}

// rowsOf counts the rows of every table that an import writes.
func rowsOf(t testing.TB, db *database.DB) map[string]int64 {
	t.Helper()
	rows := map[string]int64{}
	for _, table := range []string{
		"tbl_l1_models", "tbl_l1_model_names", "tbl_l1_model_orders", "tbl_l1_vocabulary", "tbl_l1_ng_counts_n", "tbl_l1_context_registry",
		"tbl_l1_ng_probs_n", "tbl_l1_ng_topk_n",
	} {
		var n int64
		if err := db.QueryRow(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		rows[table] = n
	}
	return rows
}

// exchanged is a random model.
type exchanged struct {
	settings ngram.Settings
	storage  ngram.Storage
	text     string
	more     bool
}

var anyExchanged = rapid.Custom(func(t *rapid.T) exchanged {
	words := rapid.SampledFrom([]string{"a", "b", "c", "dé", "😀", "1", "-", "\\end\\", "ngram", "\\1-grams:", "#"})
	lines := rapid.SliceOfN(rapid.SliceOfN(words, 0, 6), 1, 8).Draw(t, "lines")
	var text strings.Builder
	for _, line := range append(lines, []string{"a"}) {
		text.WriteString(strings.Join(line, " ") + "\n")
	}
	return exchanged{
		settings: ngram.Settings{Order: rapid.IntRange(1, 5).Draw(t, "order"), Tokenizer: rapid.SampledFrom([]ngram.Tokenizer{ngram.TokenizerWhitespace, ngram.TokenizerBytes}).Draw(t, "tokenizer")},
		storage:  rapid.SampledFrom([]ngram.Storage{ngram.Storage8, ngram.StorageExact, ngram.Storage8, ngram.StorageExact, ngram.Storage16}).Draw(t, "storage"),
		text:     text.String(),
		more:     rapid.Bool().Draw(t, "more"),
	}
})

// Any model exported and imported is the same: its ARPA file again, byte for byte, and from its counts the same builds.
func TestExchangeRoundTrip(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, store.Options{PartRows: 5})
		for i := range cases(t, 12) {
			c, name := anyExchanged.Example(i), fmt.Sprint("m", i)
			ngramtest.TrainWith(t, s, name, c.settings, ngram.BuildOptions{Storage: c.storage}, map[string]string{"text": c.text})
			want, counts := exportARPA(t, db, name, 0), exportCounts(t, s, name)
			importFile(t, db, name+"-arpa", store.Import{Format: store.FormatARPA, File: bytes.NewReader(want), Storage: ngram.StorageExact, Settings: c.settings})
			importFile(t, db, name+"-counts", store.Import{Format: store.FormatCounts, File: bytes.NewReader(counts), Storage: c.storage, Settings: c.settings})
			for _, back := range []string{name + "-arpa", name + "-counts"} {
				if diff := cmp.Diff(string(want), string(exportARPA(t, db, back, 0))); diff != "" {
					t.Errorf("%+v: %s (-out +back):\n%s", c, back, diff)
				}
			}
			if c.more { // training goes on from imported counts as from counted text
				for _, m := range []string{name, name + "-counts"} {
					ngramtest.TrainWith(t, s, m, ngram.Settings{}, ngram.BuildOptions{Storage: c.storage}, map[string]string{"more": "b a\nc\n"})
				}
				counts, want = exportCounts(t, s, name), exportARPA(t, db, name, 0)
			}
			if diff := cmp.Diff(string(counts), string(exportCounts(t, s, name+"-counts"))); diff != "" {
				t.Errorf("%+v: counts (-out +back):\n%s", c, diff)
			}
			if diff := cmp.Diff(string(want), string(exportARPA(t, db, name+"-counts", 0))); diff != "" {
				t.Errorf("%+v: trained on (-out +back):\n%s", c, diff)
			}
		}
	})
}

func exportCounts(t testing.TB, s *store.Store, name string) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := s.ExportCounts(context.Background(), tenant, name, &out, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A table of counts that contradicts itself is refused.
func TestBadCounts(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		for _, bad := range []struct{ name, text, want string }{
			{"nothing", "", "line 1, column 1: expected an n-gram and its count, found the end of the file"},
			{"no count", "a\t2\nb\n", "line 2, column 2: expected a tab and a count, found the end of the line"},
			{"a count of 0", "a\t0\n", `line 1, column 3: expected a count from 1 to 2147483647, found "0"`},
			{"a count that is none", "a\tmany\n", `line 1, column 3: expected a count from 1 to 2147483647, found "many"`},
			{"too great a count", "a\t2147483648\n", `line 1, column 3: expected a count from 1 to 2147483647, found "2147483648"`},
			{"no word", "\t7\n", "line 1, column 1: expected 1 to 255 words, found 0"},
			{"no end of a sentence", "a\t1\n", "line 1, column 1: expected the count of </s>, which every sentence ends with, found a file without it"},
			{"an n-gram twice", "a\t1\n</s>\t1\nb\t1\na b\t1\na b\t1\n", "line 5, column 1: expected every n-gram once, found the same n-gram as in line 4"},
			{"a word twice", "a\t1\n</s>\t1\n</s>\t1\n", "line 3, column 1: expected every n-gram once, found </s> a second time"},
			{"an n-gram without its prefix", "b\t1\n</s>\t1\na b\t1\n", "line 3, column 1: expected words of which all but the last are an n-gram of order 1, found none such"},
			{"an n-gram without its suffix", "a\t1\n</s>\t1\na b\t1\n", "line 3, column 1: expected words of which all but the first are an n-gram of order 1, found none such"},
			{"an n-gram that nothing ends in", "a\t1\nb\t1\n</s>\t1\na </s>\t1\n<s> a\t1\n", "line 2, column 1: expected an n-gram of order 2 that ends in this one, for its adjusted count, found none"},
			{"<unk>", "<unk>\t1\n", `line 1, column 1: expected a word: <unk> stands for what was not counted, found "<unk>"`},
		} {
			refuseImport(t, db, bad.name, store.Import{Format: store.FormatCounts, File: strings.NewReader(bad.text)}, errors.InvalidArgument, bad.want)
		}
	})
}

// A model without counts refuses what needs them; a reset gives it counts again.
func TestWithoutCounts(t *testing.T) {
	golden, err := os.ReadFile("../testdata/golden/tiny.arpa")
	if err != nil {
		t.Fatal(err)
	}
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, store.Options{})
		importFile(t, db, "tiny", store.Import{Format: store.FormatARPA, File: bytes.NewReader(golden)})
		tasks := map[string]func(ctx context.Context, trainer *store.Trainer) error{
			"training": func(ctx context.Context, trainer *store.Trainer) error {
				_, _, err := trainer.Receive(ctx, store.Source{Label: "more", Text: strings.NewReader("a dog\n")})
				return err
			},
			"building": func(ctx context.Context, trainer *store.Trainer) error {
				_, err := trainer.Build(ctx, ngram.BuildOptions{}, nil)
				return err
			},
		}
		for name, task := range tasks {
			if err := s.Train(t.Context(), tenant, "tiny", "a test", task); errors.KindOf(err) != errors.FailedPrecondition || errors.ReasonOf(err) != "MODEL_WITHOUT_COUNTS" {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := s.ExportCounts(t.Context(), tenant, "tiny", io.Discard, nil); errors.ReasonOf(err) != "MODEL_WITHOUT_COUNTS" {
			t.Error(err)
		}
		if _, err := s.Forgettable(t.Context(), tenant, "tiny", "more"); errors.ReasonOf(err) != "MODEL_WITHOUT_COUNTS" {
			t.Errorf("forgetting: %v", err)
		}
		if _, err := s.ResetModel(t.Context(), tenant, "tiny", ngram.Settings{}, ""); err != nil {
			t.Fatal(err)
		}
		ngramtest.TrainWith(t, s, "tiny", ngram.Settings{}, ngram.BuildOptions{}, map[string]string{"text": "a dog\n"})
	})
}

// What a killed import left has no name and goes with the next purge.
func TestKilledImport(t *testing.T) {
	golden, err := os.ReadFile("../testdata/golden/tiny.arpa")
	if err != nil {
		t.Fatal(err)
	}
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		clean := rowsOf(t, db)
		clock := time.Now()
		s := store.New(db, store.Options{PartRows: 5, Clock: func() time.Time { return clock }})
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the import was not killed")
				}
			}()
			writes := 0
			_, _, _ = s.Import(t.Context(), tenant, "tiny", store.Import{Format: store.FormatARPA, File: bytes.NewReader(golden)}, func(phase string, _, _ int64) {
				if writes++; phase == "write" && writes > 6 {
					panic("killed")
				}
			})
		}()
		if rowsOf(t, db)["tbl_l1_ng_probs_n"] == 0 {
			t.Error("nothing was written before the end")
		}
		if _, err := s.Model(t.Context(), tenant, "tiny"); errors.KindOf(err) != errors.NotFound {
			t.Errorf("half an import has a name: %v", err)
		}
		clock = clock.Add(time.Hour)
		if gone, err := s.Purge(t.Context(), time.Minute); err != nil || gone != 1 {
			t.Errorf("%d generations are gone: %v", gone, err)
		}
		if diff := cmp.Diff(clean, rowsOf(t, db)); diff != "" {
			t.Errorf("rows are left:\n%s", diff)
		}
	})
}

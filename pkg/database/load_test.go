package database_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"

	"pgregory.net/rapid"
)

// trickyKeys are tokens that careless storage merges, cuts or mangles.
func trickyKeys() [][]byte {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	keys := [][]byte{
		{},
		[]byte("foo"), []byte("Foo"), []byte("FOO"), []byte("foo "), []byte("foo  "), []byte(" foo"),
		[]byte("résumé"), []byte("resume"), []byte("re\u0301sume\u0301"), []byte("ß"), []byte("ss"), []byte("ﬀ"),
		{0},
		{0, 0},
		[]byte("a\x00"), []byte("a\x00b"), []byte("a"),
		{0xff},
		{0xff, 0xfe},
		[]byte("\xc3\x28"),
		[]byte(`\`), []byte(`\\`), []byte(`\N`), []byte(`\n`), []byte("\n"), []byte("\t"), []byte("\r\n"), []byte("\x1a"), []byte("'"), []byte(`"`), []byte("`;--"),
		[]byte("日本語"), []byte("😀"), []byte("NULL"), []byte("123"), []byte("1e5"), []byte("0123"), []byte("?"), []byte("%"), []byte("_"),
		all, bytes.Repeat([]byte{'x'}, 1024), append(bytes.Repeat([]byte{'x'}, 1023), 'y'), bytes.Repeat([]byte("\\\n\t\x00"), 256),
	}
	slices.SortFunc(keys, bytes.Compare)
	return keys
}

func trickyFloats() []float64 {
	return []float64{
		0, 1, -1, 0.1, 1.0 / 3, math.Pi, -math.MaxFloat64, math.MaxFloat64, math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64,
		2.2250738585072014e-308, 2.225073858507201e-308, 1e22, 1e23, 123456789012345678, 9007199254740993, math.Nextafter(1, 2), -4.937332, 5e-324, 1.7976931348623157e308,
	}
}

// testLoadRoundTrip loads every tricky key and float and reads them back, by Stream and by Scan.
func testLoadRoundTrip(t *testing.T, db *database.DB) {
	t.Helper()
	ctx := context.Background()
	keys, floats := trickyKeys(), trickyFloats()
	err := db.InTx(ctx, func(tx *database.Tx) error {
		n, err := tx.Load(ctx, "tbl_tokens", []string{"id", "token", "label", "weight", "body"}, func(w database.RowWriter) error {
			for i, key := range keys {
				w.Int(int64(i))
				w.Bytes(key)
				switch {
				case i%3 == 0:
					w.Null()
				case i%3 == 1:
					w.String("")
				default:
					w.String("läbel\\N\t\n" + fmt.Sprint(i))
				}
				w.Float(floats[i%len(floats)])
				if i%2 == 0 {
					w.Null()
				} else {
					w.Bytes(bytes.Repeat(key, 3))
				}
				if err := w.EndRow(); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil && n != int64(len(keys)) {
			t.Errorf("Load says %d rows", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	err = db.Stream(ctx, "SELECT id, token, label, weight, body FROM tbl_tokens ORDER BY token", nil, func(r database.Row) error {
		want := floats[i%len(floats)]
		if r.Int(0) != int64(i) || !bytes.Equal(r.Bytes(1), keys[i]) {
			t.Errorf("row %d is %d %q, want %q", i, r.Int(0), r.Bytes(1), keys[i])
		}
		if got := r.Float(3); math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("row %d: %x became %x", i, want, got)
		}
		label := "läbel\\N\t\n" + fmt.Sprint(i)
		switch {
		case i%3 == 0 && (!r.IsNull(2) || r.Bytes(2) != nil):
			t.Errorf("row %d: label is not NULL but %q", i, r.Bytes(2))
		case i%3 == 1 && (r.IsNull(2) || r.Bytes(2) == nil || len(r.Bytes(2)) != 0):
			t.Errorf("row %d: label is not empty but %q, null %v", i, r.Bytes(2), r.IsNull(2))
		case i%3 == 2 && string(r.Bytes(2)) != label:
			t.Errorf("row %d: label %q, want %q", i, r.Bytes(2), label)
		}
		if (i%2 == 0) != r.IsNull(4) || i%2 == 1 && !bytes.Equal(r.Bytes(4), bytes.Repeat(keys[i], 3)) {
			t.Errorf("row %d: body %q", i, r.Bytes(4))
		}
		i++
		return nil
	})
	if err != nil || i != len(keys) {
		t.Errorf("%d of %d rows, %v", i, len(keys), err)
	}
	for i, key := range keys {
		var id int
		var weight float64
		if err := db.QueryRow(ctx, "SELECT id, weight FROM tbl_tokens WHERE token = ?", key).Scan(&id, &weight); err != nil || id != i ||
			math.Float64bits(weight) != math.Float64bits(floats[i%len(floats)]) {
			t.Errorf("looking up %q: %d %v %v", key, id, weight, err)
		}
	}
}

func TestLoadIsExact(t *testing.T) {
	databasetest.Each(t, testSchema(), testLoadRoundTrip)
}

func TestBoundArgumentsAreExact(t *testing.T) {
	ctx := context.Background()
	databasetest.Each(t, testSchema(), func(t *testing.T, db *database.DB) {
		keys, floats := trickyKeys(), trickyFloats()
		err := db.InTx(ctx, func(tx *database.Tx) error {
			rows := make([][]any, len(keys))
			for i, key := range keys {
				rows[i] = []any{i, key, "é'\\\x00" + fmt.Sprint(i), floats[i%len(floats)]}
			}
			return tx.Upsert(ctx, "tbl_tokens", []string{"id", "token", "label", "weight"}, []string{"id"}, nil, rows)
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, key := range keys {
			var token []byte
			var label string
			var weight float64
			if err := db.QueryRow(ctx, "SELECT token, label, weight FROM tbl_tokens WHERE id = ? AND token = ?", i, key).Scan(&token, &label, &weight); err != nil {
				t.Errorf("%q: %v", key, err)
				continue
			}
			if !bytes.Equal(token, key) || label != "é'\\\x00"+fmt.Sprint(i) || math.Float64bits(weight) != math.Float64bits(floats[i%len(floats)]) {
				t.Errorf("%q became %q %q %v", key, token, label, weight)
			}
		}
	})
}

func TestIntegersAreExact(t *testing.T) {
	ctx := context.Background()
	databasetest.Each(t, testSchema(), func(t *testing.T, db *database.DB) {
		hashes := []int64{math.MinInt64, math.MinInt64 + 1, -1 << 53, -1, 0, 1, 1<<53 + 1, math.MaxInt64 - 1, math.MaxInt64}
		err := db.InTx(ctx, func(tx *database.Tx) error {
			_, err := tx.Load(ctx, "tbl_counts", benchColumns, func(w database.RowWriter) error {
				for _, h := range hashes {
					w.Int(math.MinInt16)
					w.Int(math.MaxInt8)
					w.Int(h)
					w.Int(math.MaxInt32)
					w.Int(h)
					w.Int(math.MinInt32)
					if err := w.EndRow(); err != nil {
						return err
					}
				}
				return nil
			})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		err = db.Stream(ctx, "SELECT hash, c, token, model_id FROM tbl_counts WHERE hash IN "+database.In(len(hashes))+" ORDER BY hash", anys(hashes), func(r database.Row) error {
			if r.Int(0) != r.Int(1) || r.Int(2) != math.MaxInt32 || r.Int(3) != math.MinInt16 {
				t.Errorf("%d %d %d %d", r.Int(0), r.Int(1), r.Int(2), r.Int(3))
			}
			got = append(got, r.Int(0))
			return nil
		})
		if err != nil || !slices.Equal(got, hashes) {
			t.Errorf("%v %v", got, err)
		}
		var sum int64
		if err := db.Stream(ctx, "SELECT SUM(token) FROM tbl_counts", nil, func(r database.Row) error { sum = r.Int(0); return nil }); err != nil || sum != int64(len(hashes))*math.MaxInt32 {
			t.Errorf("SUM is %d, %v", sum, err)
		}
	})
}

func anys[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

func TestLoadRefusesWhatIsNotExact(t *testing.T) {
	ctx := context.Background()
	mysqlOnly := map[string]bool{"too large for INT": true, "too long for VARBINARY": true, "invalid UTF-8 in text": true, "too long for VARCHAR": true}
	cases := map[string]struct {
		kind errors.Kind
		row  func(w database.RowWriter)
	}{
		"too large for INT":      {errors.InvalidArgument, func(w database.RowWriter) { w.Int(1 << 40); w.Bytes([]byte("x")); w.Null(); w.Null() }},
		"too long for VARBINARY": {errors.InvalidArgument, func(w database.RowWriter) { w.Int(1); w.Bytes(make([]byte, 1025)); w.Null(); w.Null() }},
		"too long for VARCHAR": {errors.InvalidArgument, func(w database.RowWriter) {
			w.Int(1)
			w.Bytes([]byte("x"))
			w.String(strings.Repeat("é", 65))
			w.Null()
		}},
		"invalid UTF-8 in text": {errors.InvalidArgument, func(w database.RowWriter) { w.Int(1); w.Bytes([]byte("x")); w.String("a\xffb"); w.Null() }},
		"NULL in NOT NULL":      {errors.InvalidArgument, func(w database.RowWriter) { w.Int(1); w.Null(); w.Null(); w.Null() }},
		"NaN":                   {errors.InvalidArgument, func(w database.RowWriter) { w.Int(1); w.Bytes([]byte("x")); w.Null(); w.Float(math.NaN()) }},
		"infinity":              {errors.InvalidArgument, func(w database.RowWriter) { w.Int(1); w.Bytes([]byte("x")); w.Null(); w.Float(math.Inf(-1)) }},
		"duplicate key":         {errors.AlreadyExists, func(w database.RowWriter) { w.Int(0); w.Bytes([]byte("x")); w.Null(); w.Null() }},
		"duplicate second key":  {errors.AlreadyExists, func(w database.RowWriter) { w.Int(7); w.Bytes([]byte("first")); w.Null(); w.Null() }},
		"too few values":        {errors.Internal, func(w database.RowWriter) { w.Int(1); w.Bytes([]byte("x")) }},
		"too many values":       {errors.Internal, func(w database.RowWriter) { w.Int(1); w.Bytes([]byte("x")); w.Null(); w.Null(); w.Null() }},
	}
	run := func(t *testing.T, db *database.DB) {
		for name, c := range cases {
			if mysqlOnly[name] && db.Dialect() == database.SQLite {
				continue // SQLite columns have no limits; stores check lengths themselves
			}
			err := db.InTx(ctx, func(tx *database.Tx) error {
				_, err := tx.Load(ctx, "tbl_tokens", []string{"id", "token", "label", "weight"}, func(w database.RowWriter) error {
					w.Int(0)
					w.Bytes([]byte("first"))
					w.Null()
					w.Float(1)
					if err := w.EndRow(); err != nil {
						return err
					}
					c.row(w)
					_ = w.EndRow() // swallowed: Load must fail all the same
					return nil
				})
				return err
			})
			if err == nil || errors.KindOf(err) != c.kind {
				t.Errorf("%s: %v %v", name, errors.KindOf(err), err)
			}
			if n := countTokens(t, db); n != 0 {
				t.Fatalf("%s: %d rows stayed", name, n)
			}
		}
	}
	databasetest.Each(t, testSchema(), run)
	t.Run("mysql without LOAD DATA", func(t *testing.T) {
		server := databasetest.Start(t, "--local-infile=0")
		run(t, databasetest.Open(t, server.Target(t), testSchema(), database.Options{}))
	})
}

func TestLoadEndsEarly(t *testing.T) {
	databasetest.Each(t, testSchema(), func(t *testing.T, db *database.DB) {
		own := errors.New(errors.NotFound, "OWN", "the data ran out")
		write := func(w database.RowWriter, from, to int) error {
			for i := from; i < to; i++ {
				w.Int(int64(i))
				w.Bytes(fmt.Appendf(nil, "token %d", i))
				if err := w.EndRow(); err != nil {
					return err
				}
			}
			return nil
		}
		load := func(ctx context.Context, fill func(w database.RowWriter) error) error {
			return db.InTx(ctx, func(tx *database.Tx) error {
				_, err := tx.Load(ctx, "tbl_tokens", []string{"id", "token"}, fill)
				return err
			})
		}
		ctx := context.Background()
		err := load(ctx, func(w database.RowWriter) error {
			if err := write(w, 0, 10_000); err != nil {
				return err
			}
			return own
		})
		if !sameError(err, own) {
			t.Errorf("fill's error came back as %v", err)
		}
		limited, cancel := context.WithCancel(ctx)
		err = load(limited, func(w database.RowWriter) error {
			if err := write(w, 0, 5_000); err != nil {
				return err
			}
			cancel()
			return write(w, 5_000, 10_000_000)
		})
		wantError(t, err, errors.Canceled)
		if err := load(ctx, func(database.RowWriter) error { return nil }); err != nil {
			t.Errorf("an empty load: %v", err)
		}
		if n := countTokens(t, db); n != 0 {
			t.Errorf("%d rows stayed", n)
		}
		if err := load(ctx, func(w database.RowWriter) error { return write(w, 0, 3_001) }); err != nil {
			t.Error(err)
		}
		if n := countTokens(t, db); n != 3_001 {
			t.Errorf("%d rows", n)
		}
	})
}

func TestLoadDoesNotAllocatePerValue(t *testing.T) {
	ctx := context.Background()
	databasetest.Each(t, testSchema(), func(t *testing.T, db *database.DB) {
		key := make([]byte, 16)
		allocs := 0.0
		err := db.InTx(ctx, func(tx *database.Tx) error {
			_, err := tx.Load(ctx, "tbl_tokens", []string{"id", "token", "label", "weight"}, func(w database.RowWriter) error {
				id := 0
				row := func() {
					id++
					copy(key, fmt.Sprint(id))
					w.Int(int64(id))
					w.Bytes(key)
					w.String("label")
					w.Float(float64(id) / 3)
					if err := w.EndRow(); err != nil {
						t.Error(err)
					}
				}
				for range 1000 {
					row()
				}
				allocs = testing.AllocsPerRun(2_000, row)
				return nil
			})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if allocs >= 4 { // fmt.Sprint of the test itself, and on SQLite the driver's few per statement of 64 rows
			t.Errorf("%v allocations per row of four values", allocs)
		}
	})
}

func TestLoadAnyBytes(t *testing.T) {
	ctx := context.Background()
	databasetest.Each(t, testSchema(), func(t *testing.T, db *database.DB) {
		rapid.Check(t, func(rt *rapid.T) {
			bodies := rapid.SliceOfN(rapid.SliceOf(rapid.Byte()), 1, 100).Draw(rt, "bodies")
			floats := rapid.SliceOfN(rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64), len(bodies), len(bodies)).Draw(rt, "floats")
			err := db.InTx(ctx, func(tx *database.Tx) error {
				if _, err := tx.Exec(ctx, "DELETE FROM tbl_tokens"); err != nil {
					return err
				}
				_, err := tx.Load(ctx, "tbl_tokens", []string{"id", "token", "weight", "body"}, func(w database.RowWriter) error {
					for i, b := range bodies {
						w.Int(int64(i))
						w.Bytes(fmt.Append(nil, i))
						w.Float(floats[i])
						w.Bytes(b)
						if err := w.EndRow(); err != nil {
							return err
						}
					}
					return nil
				})
				return err
			})
			if err != nil {
				rt.Fatal(err)
			}
			i := 0
			err = db.Stream(ctx, "SELECT weight, body FROM tbl_tokens ORDER BY id", nil, func(r database.Row) error {
				if !bytes.Equal(r.Bytes(1), bodies[i]) || math.Float64bits(r.Float(0)) != math.Float64bits(floats[i]+0) { // -0 becomes 0
					rt.Errorf("%d: %q became %q, %v became %v", i, bodies[i], r.Bytes(1), floats[i], r.Float(0))
				}
				i++
				return nil
			})
			if err != nil || i != len(bodies) {
				rt.Fatal(i, err)
			}
		})
	})
}

func TestStreamStops(t *testing.T) {
	ctx := context.Background()
	databasetest.Each(t, testSchema(), func(t *testing.T, db *database.DB) {
		err := db.InTx(ctx, func(tx *database.Tx) error {
			_, err := tx.Load(ctx, "tbl_counts", benchColumns, benchRowsOf(1, 10_000))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		own := errors.New(errors.NotFound, "OWN", "enough")
		n := 0
		if err := db.Stream(ctx, "SELECT hash FROM tbl_counts", nil, func(database.Row) error {
			n++
			if n == 5 {
				return own
			}
			return nil
		}); !sameError(err, own) || n != 5 {
			t.Errorf("%d rows, %v", n, err)
		}
		limited, cancel := context.WithCancel(ctx)
		n = 0
		err = db.Stream(limited, "SELECT hash FROM tbl_counts", nil, func(database.Row) error {
			n++
			cancel()
			return nil
		})
		wantError(t, err, errors.Canceled)
		if n > 5000 {
			t.Errorf("went on for %d rows", n)
		}
		wantError(t, db.Stream(ctx, "SELECT 'text'", nil, func(r database.Row) error { r.Int(0); return nil }), errors.Internal, "expects an integer")
		if err := db.Ping(ctx); err != nil {
			t.Error(err)
		}
	})
}

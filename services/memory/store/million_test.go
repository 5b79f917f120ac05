package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/services/memory"
	"dbslm/services/memory/folding"
)

// BenchmarkMatchMany measures matching a question against the corrections of one scope, 10,000 of them or as many as
// DBSLM_BENCH_CORRECTIONS says: of a hundredth as many entities with a hundred attributes each, so that the question's words
// are as common as words can be. It reports the processor time of this process: the middle one and the 99th of 100 – all of
// it for the embedded store – and for a server the mean of both processes.
func BenchmarkMatchMany(b *testing.B) {
	n := 10_000
	if asked, err := strconv.Atoi(os.Getenv("DBSLM_BENCH_CORRECTIONS")); err == nil {
		n = asked
	}
	for name, target := range map[string]func(testing.TB) database.Target{"sqlite": databasetest.SQLiteTarget, "mysql": databasetest.MySQLTarget} {
		b.Run(fmt.Sprint(name, "/", n), func(b *testing.B) {
			db := databasetest.Open(b, target(b), Schema, database.Options{})
			s := open(b, db)
			c := beginAs(b, s, "many", "ada")
			manyCorrections(b, s, n)
			runtime.GC() // what loading left
			random := rand.New(rand.NewPCG(1, 2))
			var each []time.Duration
			begun := cpu(b, db)
			for b.Loop() {
				entity, attribute := random.IntN(n/100), random.IntN(100)
				own := ownCPU(b)
				got := match(b, s, c, "m", fmt.Sprintf("What's the attribute%d of entity%d again?", attribute, entity), 5)
				each = append(each, ownCPU(b)-own)
				if len(got) != 1 || got[0].Fact.Value != fmt.Sprintf("value %d", 100*entity+attribute) {
					b.Fatalf("matched %v", values(got))
				}
			}
			slices.Sort(each)
			b.ReportMetric(float64(each[len(each)/2].Microseconds()), "own-cpu-p50-µs")
			b.ReportMetric(float64(each[len(each)*99/100].Microseconds()), "own-cpu-p99-µs")
			b.ReportMetric(float64((cpu(b, db)-begun).Microseconds())/float64(len(each)), "cpu-µs/op")
		})
	}
}

func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// manyCorrections loads active corrections of model m as RecordCorrection would have left them.
func manyCorrections(b *testing.B, s *Store, n int) {
	b.Helper()
	place := memory.Place{Scope: memory.ScopeModel, Model: "m"}
	correction := func(i int) memory.Correction {
		k := memory.Correction{Tenant: "many", ID: fmt.Sprintf("01890000-0000-7000-8000-%012d", i), Place: place, Fact: memory.CorrectedFact{
			Entity: fmt.Sprint("entity", i/100), Attribute: fmt.Sprint("attribute", i%100), Value: fmt.Sprint("value ", i),
		}}
		k, err := k.Complete()
		if err != nil {
			b.Fatal(err)
		}
		return k
	}
	counts := map[string]int64{everyCorrection: int64(n)}
	var posted [][2]string
	load := func(table string, columns []string, rows int, row func(w database.RowWriter, i int)) {
		err := s.db.InTx(b.Context(), func(tx *database.Tx) error {
			_, err := tx.Load(b.Context(), table, columns, func(w database.RowWriter) error {
				for i := range rows {
					row(w, i)
					if err := w.EndRow(); err != nil {
						return err
					}
				}
				return nil
			})
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	strings := func(w database.RowWriter, values ...string) {
		for _, v := range values {
			w.String(v)
		}
	}
	load("tbl_l2_correction_log", []string{
		"tenant", "correction_id", "scope", "scope_key", "user_id", "model", "error_context", "error_context_pattern", "corrected_fact_json", "subject",
		"active_key", "revoke_reason", "recorded_by", "active", "created_at", "version",
	}, n, func(w database.RowWriter, i int) {
		k := correction(i)
		fact, err := k.Fact.JSON()
		if err != nil {
			b.Fatal(err)
		}
		strings(w, k.Tenant, k.ID, string(k.Scope), place.Key(), "", "m", "", folding.LikePattern(k.Key().Phrase()), fact, k.Subject, memory.ActiveKey(place, k.Subject), "", "")
		w.Int(1)
		w.Int(micros(noon) + int64(i))
		w.Int(1)
		for _, word := range k.Terms() {
			counts[word]++
			posted = append(posted, [2]string{word, k.ID})
		}
	})
	slices.SortFunc(posted, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	load("tbl_l2_correction_words", []string{"tenant", "scope_key", "word", "correction_id"}, len(posted), func(w database.RowWriter, i int) {
		strings(w, "many", place.Key(), posted[i][0], posted[i][1])
	})
	words := make([]string, 0, len(counts))
	for word := range counts {
		words = append(words, word)
	}
	slices.Sort(words)
	load("tbl_l2_correction_word_counts", []string{"tenant", "scope_key", "word", "corrections"}, len(words), func(w database.RowWriter, i int) {
		strings(w, "many", place.Key(), words[i])
		w.Int(counts[words[i]])
	})
}

package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/services/memory"
)

// BenchmarkMessages measures appending a message and reading a window where there are 10,000 messages, and then in the same store
// where there are as many as DBSLM_BENCH_MESSAGES says (default 100,000), in conversations of a hundred: processor time of
// this process and the database together, and the time of the middle call. It reports what a message takes on the disk, with
// its indexes and words. Figures: docs/decisions/0074.
func BenchmarkMessages(b *testing.B) {
	n := 100_000
	if asked, err := strconv.Atoi(os.Getenv("DBSLM_BENCH_MESSAGES")); err == nil {
		n = asked
	}
	for _, engine := range []string{"sqlite", "mysql"} {
		b.Run(engine, func(b *testing.B) {
			target, server := databasetest.SQLiteTarget(b), (*databasetest.Server)(nil)
			if engine == "mysql" {
				server = databasetest.Start(b, "--innodb-buffer-pool-size=2G", "--innodb-log-file-size=1G")
				target = server.Target(b)
			}
			db := databasetest.Open(b, target, Schema, database.Options{})
			s := open(b, db)
			used := func() time.Duration {
				if server != nil {
					return ownCPU(b) + server.CPU(b)
				}
				return ownCPU(b)
			}
			have := 0
			for _, size := range []int{10_000, n} {
				manyMessages(b, s, have, size)
				have = size
				bytes := float64(stored(b, s)) / float64(size)
				for name, f := range map[string]func(c string, i int) error{
					"append": func(c string, i int) error {
						_, err := s.AppendMessage(b.Context(), "many", memory.Message{
							ConversationID: c, RequestID: fmt.Sprint(size, "-", i, "-", time.Now().UnixNano()), Sender: memory.SenderUser, Content: messageText(i), Created: noon,
						})
						return err
					},
					"window": func(c string, _ int) error {
						w, err := s.Window(b.Context(), "many", c, bounds(b))
						if err == nil && len(w.Messages) < 6 {
							err = fmt.Errorf("a window of %d messages", len(w.Messages))
						}
						return err
					},
				} {
					b.Run(fmt.Sprint(name, "/", size), func(b *testing.B) {
						random := rand.New(rand.NewPCG(1, uint64(size)))
						var each []time.Duration
						begun := used()
						for b.Loop() {
							at := time.Now()
							if err := f(messageConversation(random.IntN(size/100)), len(each)); err != nil {
								b.Fatal(err)
							}
							each = append(each, time.Since(at))
						}
						slices.Sort(each)
						b.ReportMetric(float64((used()-begun).Microseconds())/float64(len(each)), "cpu-µs/op")
						b.ReportMetric(float64(each[len(each)/2].Microseconds()), "p50-µs")
						b.ReportMetric(bytes, "B/message")
					})
				}
			}
		})
	}
}

func messageConversation(i int) string { return fmt.Sprintf("01890000-0000-7000-9000-%012d", i) }

// messageText is about as long as what people say, and holds two words of its own.
func messageText(i int) string {
	return fmt.Sprintf("And is that pier%05d still where the boats of dock%03d are, or is it not?", i/1000%10_000, i%1000)
}

// manyMessages loads messages as they would be after have of them.
func manyMessages(b *testing.B, s *Store, have, n int) {
	b.Helper()
	const tenant, length = "many", int64(len("And is that pier00000 still where the boats of dock000 are, or is it not?"))
	load := func(table string, columns []string, from, to int, row func(w database.RowWriter, i int)) {
		for begin := from; begin < to; begin += 500_000 {
			err := s.db.InTx(b.Context(), func(tx *database.Tx) error {
				_, err := tx.Load(b.Context(), table, columns, func(w database.RowWriter) error {
					for i := begin; i < min(begin+500_000, to); i++ {
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
	}
	strings := func(w database.RowWriter, values ...string) {
		for _, v := range values {
			w.String(v)
		}
	}
	id := func(i int) string { return fmt.Sprintf("01890000-0000-7000-8000-%012d", i) }
	load("tbl_l2_conversations", []string{
		"tenant", "conversation_id", "user_id", "agent_id", "title", "metadata_json", "archived", "user_messages", "assistant_messages", "committed_turns",
		"failed_turns", "active_corrections", "content_bytes", "first_message_at", "last_message_at", "created_at", "updated_at",
	}, have/100, n/100, func(w database.RowWriter, i int) {
		strings(w, tenant, messageConversation(i), fmt.Sprint("person", i), "a", "", "")
		for _, v := range []int64{0, 50, 50, 0, 0, 0, 100 * length, micros(noon), micros(noon), micros(noon), micros(noon)} {
			w.Int(v)
		}
	})
	load("tbl_l2_messages", []string{"tenant", "conversation_id", "seq", "message_id", "request_id", "sender", "finish_reason", "content_end", "created_at", "content"}, have, n,
		func(w database.RowWriter, i int) {
			seq := int64(i%100 + 1)
			strings(w, tenant, messageConversation(i/100))
			w.Int(seq)
			strings(w, id(i), fmt.Sprint("r", i), []string{"user", "assistant"}[i%2], "")
			w.Int(seq * length)
			w.Int(micros(noon))
			w.String(messageText(i))
		})
	// The words in their own order: every message's dock, its pier, and the boats of all.
	var words [][2]int // a word's number and a message
	for i := have; i < n; i++ {
		words = append(words, [2]int{1 + i%1000, i}, [2]int{1001 + i/1000%10_000, i}, [2]int{0, i})
	}
	slices.SortFunc(words, func(a, b [2]int) int { return slices.Compare(a[:], b[:]) })
	name := func(word int) string {
		switch {
		case word == 0:
			return "boat"
		case word <= 1000:
			return fmt.Sprintf("dock%03d", word-1)
		}
		return fmt.Sprintf("pier%05d", word-1001)
	}
	load("tbl_l2_message_words", []string{"tenant", "word", "message_id"}, 0, len(words), func(w database.RowWriter, i int) {
		strings(w, tenant, name(words[i][0]), id(words[i][1]))
	})
}

// stored is what the tables of messages and their indexes take, in bytes; of the embedded store the whole file.
func stored(b *testing.B, s *Store) (bytes int64) {
	b.Helper()
	query := `SELECT CAST(SUM(data_length + index_length) AS SIGNED) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN ('tbl_l2_messages', 'tbl_l2_message_words')`
	if s.db.Dialect() == database.MySQL {
		result, err := s.db.Query(b.Context(), "ANALYZE TABLE tbl_l2_messages, tbl_l2_message_words")
		if err := rows(result, err, func(database.Scanner) error { return nil }); err != nil {
			b.Fatal(err)
		}
	} else {
		query = `SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()`
	}
	if err := s.db.QueryRow(b.Context(), query).Scan(&bytes); err != nil {
		b.Fatal(err)
	}
	return bytes
}

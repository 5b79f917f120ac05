package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dbslm/pkg/database"
	ngramstore "dbslm/services/ngram/store"
)

// words is a model in words: what two stores say alike, however they number their tokens and builds.
type words struct {
	counts map[string]string // totals, documents, n-grams, contexts, forms
	build  map[string]string // n-grams, backoff weights and discounts of a build
}

func (w words) all() map[string]string {
	all := maps.Clone(w.counts)
	maps.Copy(all, w.build)
	return all
}

// reading opens the tables of level 1 of a store.
func (c *crash) reading(store string, f func(db *database.DB)) {
	c.Helper()
	target, err := database.ParseTarget(store)
	if err != nil {
		c.Fatal(err)
	}
	db, err := database.Open(c.Context(), target, ngramstore.Schema, database.Options{MustExist: true})
	if err != nil {
		c.Fatal(err)
	}
	defer db.Close()
	f(db)
}

// each streams the rows of a query over the model "default" of a store, whose number takes the place of every {m}.
func (c *crash) each(db *database.DB, query string, row func(database.Row), args ...any) {
	c.Helper()
	query = strings.ReplaceAll(query, "{m}", `(SELECT model_id FROM tbl_l1_model_names WHERE tenant = 'default' AND name = 'default')`)
	if err := db.Stream(c.Context(), query, args, func(r database.Row) error { row(r); return nil }); err != nil {
		c.Fatalf("%s: %v", query, err)
	}
}

// number is the first column of the first row, 0 for none.
func (c *crash) number(store, query string, args ...any) (n int64) {
	c.Helper()
	c.reading(store, func(db *database.DB) {
		c.each(db, query, func(row database.Row) { n = row.Int(0) }, args...)
	})
	return n
}

// published is the build of the model "default" that serves; 0 for none, or no model.
func (c *crash) published(store string) uint32 {
	c.Helper()
	return uint32(c.number(store, `SELECT COALESCE(published_build, 0) FROM tbl_l1_model_names WHERE tenant = 'default' AND name = 'default'`))
}

// servedBefore is the build that rollback goes to.
func (c *crash) servedBefore(store string) uint32 {
	c.Helper()
	return uint32(c.number(store, `SELECT b.build_id FROM tbl_l1_builds b JOIN tbl_l1_builds p ON p.build_id = ? WHERE b.state = 'ready' AND b.model_id = p.model_id AND b.name = p.name
AND b.served_seq < p.served_seq ORDER BY b.served_seq DESC LIMIT 1`, int64(c.published(store))))
}

// ready is the set of kept builds.
func (c *crash) ready(store string) map[uint32]bool {
	c.Helper()
	ids := map[uint32]bool{}
	c.reading(store, func(db *database.DB) {
		c.each(db, `SELECT build_id FROM tbl_l1_builds WHERE model_id = {m} AND name = 'default' AND state = 'ready'`, func(row database.Row) { ids[uint32(row.Int(0))] = true })
	})
	return ids
}

const shownRows = ` WHERE model_id = (SELECT model_id FROM tbl_l1_builds WHERE build_id = ?) AND since_build <= ? AND (until_build IS NULL OR until_build > ?)`

// shows is every row that a build shows, as the tables have it.
func (c *crash) shows(store string, build uint32) string {
	c.Helper()
	var lines []string
	args := []any{int64(build), int64(build), int64(build)}
	c.reading(store, func(db *database.DB) {
		c.each(db, `SELECT n, context_hash, next_token_id, q_logprob, logprob FROM tbl_l1_ng_probs_n`+shownRows, func(row database.Row) {
			lines = append(lines, fmt.Sprint("probability ", row.Int(0), row.Int(1), row.Int(2), row.Int(3), row.Float(4)))
		}, args...)
		c.each(db, `SELECT n, context_hash, chunk, q_backoff, backoff, followers, packed FROM tbl_l1_ng_topk_n`+shownRows, func(row database.Row) {
			lines = append(lines, fmt.Sprint("followers ", row.Int(0), row.Int(1), row.Int(2), row.Int(3), row.Float(4), row.Int(5), row.Bytes(6)))
		}, args...)
		c.each(db, `SELECT token_id, form FROM tbl_l1_forms`+shownRows, func(row database.Row) { lines = append(lines, fmt.Sprintf("form %d %q", row.Int(0), row.Bytes(1))) }, args...)
	})
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// words reads the model "default", and a build of it; 0 for none.
func (c *crash) words(store string, build uint32) words {
	c.Helper()
	w := words{counts: map[string]string{}, build: map[string]string{}}
	c.reading(store, func(db *database.DB) {
		c.each(db, `SELECT documents, sentences, tokens FROM tbl_l1_models WHERE model_id = {m}`, func(row database.Row) {
			w.counts["totals"] = fmt.Sprint(row.Int(0), row.Int(1), row.Int(2))
		})
		c.each(db, `SELECT n, ngrams, contexts, raw_total, adjusted_total, t1, t2, t3, t4 FROM tbl_l1_model_orders WHERE model_id = {m}`, func(row database.Row) {
			w.counts[fmt.Sprint("order ", row.Int(0))] = fmt.Sprint(row.Int(1), row.Int(2), row.Int(3), row.Int(4), row.Int(5), row.Int(6), row.Int(7), row.Int(8))
		})
		c.each(db, `SELECT label, content_hash, weight, state, bytes_done - stored_bytes FROM tbl_corpus WHERE model_id = {m}`, func(row database.Row) {
			w.counts["document "+string(row.Bytes(0))] = fmt.Sprintf("%x weight %d %s %d", row.Bytes(1), row.Int(2), row.Bytes(3), row.Int(4))
		})
		tokens := map[int64]string{}
		c.each(db, `SELECT token_id, token, is_control, freq_global FROM tbl_l1_vocabulary WHERE model_id = {m}`, func(row database.Row) {
			word := string(row.Bytes(1))
			if tokens[row.Int(0)] = word; row.Int(2) != 0 {
				tokens[row.Int(0)] = strings.ToUpper(word)
			} else if row.Int(3) > 0 { // else only a kept build has it
				w.counts["word "+word] = fmt.Sprint(row.Int(3))
			}
		})
		c.each(db, `SELECT token_id, form, inner_count, start_count FROM tbl_l1_surface_forms WHERE model_id = {m}`, func(row database.Row) {
			w.counts["form "+tokens[row.Int(0)]+" "+string(row.Bytes(1))] = fmt.Sprint(row.Int(2), row.Int(3))
		})
		type parent struct {
			hash   int64
			oldest string
		}
		parents := map[contextKey]parent{}
		sums := map[contextKey]string{}
		c.each(db, `SELECT n, context_hash, parent_hash, oldest_token_id, a_total, n1, n2, n3 FROM tbl_l1_context_registry WHERE model_id = {m}`, func(row database.Row) {
			key := contextKey{row.Int(0), row.Int(1)}
			parents[key] = parent{row.Int(2), tokens[row.Int(3)]}
			sums[key] = fmt.Sprint(row.Int(4), row.Int(5), row.Int(6), row.Int(7))
		})
		spell := func(n, hash int64) string {
			spelled := ""
			for key := (contextKey{n, hash}); key.n > 1; {
				p, known := parents[key]
				if !known {
					c.Errorf("context %d of order %d is not in the registry", hash, n)
					break
				}
				spelled += p.oldest + " "
				key = contextKey{key.n - 1, p.hash}
			}
			return spelled
		}
		for key, sum := range sums {
			w.counts[fmt.Sprint("context ", key.n, " ", spell(key.n, key.hash))] = sum
		}
		c.each(db, `SELECT n, context_hash, next_token_id, c, COALESCE(a, c) FROM tbl_l1_ng_counts_n WHERE model_id = {m}`, func(row database.Row) {
			w.counts["n-gram "+spell(row.Int(0), row.Int(1))+tokens[row.Int(2)]] = fmt.Sprint(row.Int(3), row.Int(4))
		})
		if build == 0 {
			return
		}
		args := []any{int64(build), int64(build), int64(build)}
		c.each(db, `SELECT n, context_hash, next_token_id, q_logprob, logprob FROM tbl_l1_ng_probs_n`+shownRows, func(row database.Row) {
			w.build["probability "+spell(row.Int(0), row.Int(1))+tokens[row.Int(2)]] = fmt.Sprint(row.Int(3), row.Float(4))
		}, args...)
		c.each(db, `SELECT n, context_hash, q_backoff, backoff, SUM(followers) FROM tbl_l1_ng_topk_n`+shownRows+` GROUP BY n, context_hash, q_backoff, backoff`, func(row database.Row) {
			w.build[fmt.Sprint("weight ", row.Int(0), " ", spell(row.Int(0), row.Int(1)))] = fmt.Sprint(row.Int(2), row.Float(3), row.Int(4))
		}, args...)
		c.each(db, `SELECT token_id, form FROM tbl_l1_forms`+shownRows, func(row database.Row) { w.build["shown form "+tokens[row.Int(0)]] = string(row.Bytes(1)) }, args...)
		c.each(db, `SELECT n, d1, d2, d3, fallback, ngrams FROM tbl_l1_mkn_params WHERE build_id = ?`, func(row database.Row) {
			w.build[fmt.Sprint("discounts ", row.Int(0))] = fmt.Sprint(row.Float(1), row.Float(2), row.Float(3), row.Int(4), row.Int(5))
		}, int64(build))
	})
	return w
}

// leftovers are rows that belong to nothing once a command was completed.
var leftovers = map[string]string{
	"builds that nobody makes":              `SELECT COUNT(*) FROM tbl_l1_builds b JOIN tbl_l1_models m ON m.model_id = b.model_id WHERE m.state = 'live' AND b.state = 'building'`,
	"failed builds with rows":               `SELECT COUNT(*) FROM tbl_l1_builds b JOIN tbl_l1_models m ON m.model_id = b.model_id WHERE m.state = 'live' AND b.state = 'failed' AND b.swept = 0`,
	"probabilities of failed builds":        `SELECT COUNT(*) FROM tbl_l1_ng_probs_n p JOIN tbl_l1_builds b ON b.build_id = p.since_build WHERE b.state NOT IN ('ready', 'dropped')`,
	"probabilities closed by failed builds": `SELECT COUNT(*) FROM tbl_l1_ng_probs_n p JOIN tbl_l1_builds b ON b.build_id = p.until_build WHERE b.state NOT IN ('ready', 'dropped')`,
	"packed rows of failed builds":          `SELECT COUNT(*) FROM tbl_l1_ng_topk_n p JOIN tbl_l1_builds b ON b.build_id = p.since_build WHERE b.state NOT IN ('ready', 'dropped')`,
	"documents that are not counted":        `SELECT COUNT(*) FROM tbl_corpus c JOIN tbl_l1_models m ON m.model_id = c.model_id WHERE m.state = 'live' AND (c.state <> 'counted' OR c.bytes_done <> c.stored_bytes)`,
	"documents on their way":                `SELECT COUNT(*) FROM tbl_corpus_aside c JOIN tbl_l1_models m ON m.model_id = c.model_id WHERE m.state = 'live'`,
	"texts of no document":                  `SELECT COUNT(*) FROM tbl_corpus_text t WHERE NOT EXISTS (SELECT 1 FROM tbl_corpus c WHERE c.model_id = t.model_id AND c.document_id = t.document_id)`,
	"incomplete copies":                     `SELECT COUNT(*) FROM tbl_l1_models WHERE state = 'copying'`,
	"live models without a name":            `SELECT COUNT(*) FROM tbl_l1_models m WHERE m.state = 'live' AND NOT EXISTS (SELECT 1 FROM tbl_l1_model_names n WHERE n.name = m.name AND n.tenant = m.tenant)`,
}

// generationTables have rows of generations.
var generationTables = []string{
	"tbl_corpus", "tbl_corpus_aside", "tbl_corpus_text", "tbl_l1_context_hotness", "tbl_l1_context_registry", "tbl_l1_count_segments", "tbl_l1_forms", "tbl_l1_model_orders",
	"tbl_l1_ng_counts_n", "tbl_l1_ng_probs_n", "tbl_l1_ng_topk_n", "tbl_l1_surface_forms", "tbl_l1_vocabulary",
}

// nothingLeft checks that no row and no file belongs to nothing.
func (c *crash) nothingLeft(say string) {
	c.Helper()
	for what, query := range leftovers {
		if n := c.number(c.store, query); n != 0 {
			c.Errorf("%s: %d %s are left", say, n, what)
		}
	}
	for _, table := range generationTables {
		if n := c.number(c.store, `SELECT COUNT(*) FROM `+table+` t WHERE NOT EXISTS (SELECT 1 FROM tbl_l1_models m WHERE m.model_id = t.model_id)`); n != 0 {
			c.Errorf("%s: %d rows of no model are left in %s", say, n, table)
		}
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) { // a running service is making one
		left := slices.Concat(c.filesIn(c.temp), c.strayFiles())
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			c.Errorf("%s: the files %q are left", say, left)
			return
		}
	}
}

func (c *crash) filesIn(dir string) (names []string) {
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		c.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// strayFiles are the local files of builds that do not serve; only looked for while a service runs, which removes them.
func (c *crash) strayFiles() []string {
	if c.serve == nil {
		return nil
	}
	serving := map[string]bool{}
	c.reading(c.store, func(db *database.DB) {
		c.each(db, `SELECT published_build FROM tbl_l1_model_names WHERE published_build IS NOT NULL`, func(row database.Row) {
			serving[fmt.Sprintf("build-%d-", row.Int(0))] = true
		})
	})
	var files []string
	for _, store := range c.filesIn(c.files) { // a directory for each store
		files = append(files, c.filesIn(filepath.Join(c.files, store))...)
	}
	return slices.DeleteFunc(files, func(name string) bool {
		if strings.Contains(name, writingMark) {
			return true // by the service; half ones of killed services go at the end
		}
		for build := range serving {
			if strings.HasPrefix(name, build) && strings.HasSuffix(name, ".resident") {
				return true
			}
		}
		return false
	})
}

// writingMark is in the names of local files that are not whole.
const writingMark = ".writing-"

// halfFiles checks that a service removes what killed ones left half written.
func (c *crash) halfFiles() {
	c.Helper()
	c.stopService()
	time.Sleep(1100 * time.Millisecond) // what is younger may be somebody's
	c.startService()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		files, err := filepath.Glob(filepath.Join(c.files, "*", ".*"+writingMark+"*"))
		if err != nil {
			c.Fatal(err)
		}
		if len(files) == 0 {
			return
		}
		if time.Now().After(end) {
			c.Errorf("the files %q are left", files)
			return
		}
	}
}

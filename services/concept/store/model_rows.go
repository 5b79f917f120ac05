package store

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/concept"
	"dbslm/services/concept/predict"
)

// writeModel writes the rows of a build.
func writeModel(ctx context.Context, tx *database.Tx, id int64, m *predict.Model) error {
	rows := m.Rows()
	hashes := make(map[int64]string, len(rows))
	order := make([]int64, len(rows))
	byHash := make(map[int64]*predict.Row, len(rows))
	for i := range rows {
		h := predict.Hash(rows[i].Feature)
		if other, ok := hashes[h]; ok {
			return collision(other, rows[i].Feature)
		}
		hashes[h], order[i], byHash[h] = rows[i].Feature, h, &rows[i]
	}
	slices.Sort(order)
	_, err := tx.Load(ctx, "tbl_l3_concept_build_features", []string{"build_id", "context_hash", "feature", "documents"}, func(w database.RowWriter) error {
		for _, h := range order {
			w.Int(id)
			w.Int(h)
			w.Bytes([]byte(byHash[h].Feature))
			w.Int(byHash[h].Documents)
			if err := w.EndRow(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = tx.Load(ctx, "tbl_l3_concept_build_counts", []string{"build_id", "context_hash", "concept_id", "c"}, func(w database.RowWriter) error {
		for _, h := range order {
			for _, c := range byHash[h].Counts {
				w.Int(id)
				w.Int(h)
				w.String(c.Concept)
				w.Int(c.N)
				if err := w.EndRow(); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = tx.Load(ctx, "tbl_l3_concept_build_probs", []string{"build_id", "n", "context_hash", "concept_id", "q_prob"}, func(w database.RowWriter) error {
		write := func(n int64, feature string) error {
			found := m.Single(feature)
			slices.SortFunc(found, func(a, b predict.Candidate) int { return strings.Compare(a.Concept, b.Concept) })
			for _, c := range found {
				w.Int(id)
				w.Int(n)
				w.Int(predict.Hash(feature))
				w.String(c.Concept)
				w.Int(int64(math.Round(c.Probability * math.MaxUint16)))
				if err := w.EndRow(); err != nil {
					return err
				}
			}
			return nil
		}
		if err := write(0, ""); err != nil {
			return err
		}
		for _, h := range order {
			if predict.Readable(byHash[h].Feature) {
				if err := write(1, byHash[h].Feature); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return err
}

const (
	selectFeatures = `SELECT context_hash, feature, documents FROM tbl_l3_concept_build_features WHERE build_id = ? ORDER BY context_hash`
	selectCounts   = `SELECT context_hash, concept_id, c FROM tbl_l3_concept_build_counts WHERE build_id = ? ORDER BY context_hash, concept_id`
)

// LoadModel reads the model of a build from its rows, in one consistent view.
func (s *Store) LoadModel(ctx context.Context, bot concept.Bot, id uint32) (m *predict.Model, b concept.Build, err error) {
	err = s.db.InReadTx(ctx, func(tx *database.Tx) error {
		var err error
		if b, err = readBuild(ctx, tx, bot, id); err != nil {
			return err
		}
		if b.Formula != predict.Formula {
			return errors.New(errors.FailedPrecondition, "CONCEPT_BUILD_OLD", "build %d was made by another version of the program; make a new one", id)
		}
		rows, err := readFeatures(ctx, tx, id)
		if err != nil {
			return err
		}
		m = predict.FromRows(int(b.Examples), b.Scale, rows)
		return nil
	})
	return m, b, err
}

func readFeatures(ctx context.Context, tx *database.Tx, id uint32) ([]predict.Row, error) {
	var out []predict.Row
	var hashes []int64
	err := func() error {
		rows, err := tx.Query(ctx, selectFeatures, id)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var r predict.Row
			var h int64
			var name []byte
			if err := rows.Scan(&h, &name, &r.Documents); err != nil {
				return err
			}
			r.Feature = string(name)
			out, hashes = append(out, r), append(hashes, h)
		}
		return rows.Err()
	}()
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, selectCounts, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	at := 0
	names := map[string]string{} // one copy of each concept's name
	for rows.Next() {
		var h int64
		var c predict.ConceptCount
		if err := rows.Scan(&h, &c.Concept, &c.N); err != nil {
			return nil, err
		}
		if known, ok := names[c.Concept]; ok {
			c.Concept = known
		} else {
			names[c.Concept] = c.Concept
		}
		for at < len(hashes) && cmp.Compare(hashes[at], h) < 0 {
			at++
		}
		if at == len(hashes) || hashes[at] != h {
			return nil, errors.New(errors.DataLoss, "CONCEPT_BUILD_DAMAGED", "build %d has counts of a feature that it does not list; publish or make another", id)
		}
		out[at].Counts = append(out[at].Counts, c)
	}
	return out, rows.Err()
}

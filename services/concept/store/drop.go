package store

import (
	"context"
	"math"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/concept"
)

// dropBatch bounds the features whose rows of a dropped build one transaction removes.
const dropBatch = 2000

// DropOldBuilds drops all but the newest kept builds and the published one, and removes the rows of those dropped before that a
// crash left.
func (s *Store) DropOldBuilds(ctx context.Context, bot concept.Bot, kept int) error {
	builds, err := s.ListBuilds(ctx, bot, math.MaxInt64, 1000)
	if err != nil {
		return err
	}
	for i, b := range builds {
		if i < kept || b.Published {
			continue
		}
		if err := s.db.InTx(ctx, func(tx *database.Tx) error { return dropBuild(ctx, tx, bot, b.ID) }); err != nil {
			return err
		}
	}
	return s.removeDropped(ctx, bot.Tenant)
}

const (
	forgetPointer = `UPDATE tbl_l3_concept_pointers SET build_id = 0 WHERE tenant = ? AND bot = ? AND build_id = ?`
	hideBuild     = `UPDATE tbl_l3_concept_builds SET dropped = 1 WHERE build_id = ?`
)

// dropBuild hides a build from everybody; removeDropped removes its rows.
func dropBuild(ctx context.Context, tx *database.Tx, bot concept.Bot, id uint32) error {
	if _, err := tx.Exec(ctx, forgetPointer, bot.Tenant, bot.Name, id); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, hideBuild, id)
	return err
}

const (
	selectDropped = `SELECT build_id FROM tbl_l3_concept_builds WHERE tenant = ? AND dropped = 1 ORDER BY build_id LIMIT 1`
	selectFeature = `SELECT context_hash FROM tbl_l3_concept_build_features WHERE build_id = ? ORDER BY context_hash LIMIT 1 OFFSET ?`
	deleteBuild   = `DELETE FROM tbl_l3_concept_builds WHERE build_id = ?`
)

// removals remove the rows of a build up to a feature, its features last: they say what is left.
var removals = []string{
	`DELETE FROM tbl_l3_concept_build_probs WHERE build_id = ? AND n IN (0, 1) AND context_hash <= ?`,
	`DELETE FROM tbl_l3_concept_build_counts WHERE build_id = ? AND context_hash <= ?`,
	`DELETE FROM tbl_l3_concept_build_features WHERE build_id = ? AND context_hash <= ?`,
}

// removeDropped removes the dropped builds of a tenant, a batch of their rows in each transaction. Ended at any moment, it goes on
// where it was.
func (s *Store) removeDropped(ctx context.Context, tenant string) error {
	for {
		var id uint32
		err := s.db.QueryRow(ctx, selectDropped, tenant).Scan(&id)
		if errors.Is(err, database.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		for gone := false; !gone; {
			err := s.db.InTx(ctx, func(tx *database.Tx) error {
				upTo := int64(math.MaxInt64)
				err := tx.QueryRow(ctx, selectFeature, id, dropBatch).Scan(&upTo)
				if gone = errors.Is(err, database.ErrNoRows); err != nil && !gone {
					return err
				}
				for _, remove := range removals {
					if _, err := tx.Exec(ctx, remove, id, upTo); err != nil {
						return err
					}
				}
				if gone {
					_, err = tx.Exec(ctx, deleteBuild, id)
					return err
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
}

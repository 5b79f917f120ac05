package store

import (
	"context"

	"dbslm/pkg/database"
	"dbslm/services/memory"
)

// maxFormers bounds the corrections of a scope with which a new one is compared: the newest.
const maxFormers = 50

const selectNewestOfScope = `SELECT ` + correctionColumns + ` FROM (SELECT correction_id AS found_id FROM tbl_l2_correction_log
  WHERE tenant = ? AND scope_key = ? AND active = 1 ORDER BY created_at DESC, correction_id DESC LIMIT ?) newest
CROSS JOIN tbl_l2_correction_log l ON l.tenant = ? AND l.correction_id = newest.found_id
ORDER BY created_at DESC, correction_id DESC`

// placeAmong finds the corrections that a new one may contradict, of its own scope and for one of a conversation of its person's, and
// places it among them.
func placeAmong(ctx context.Context, tx *database.Tx, k memory.Correction, named *memory.Conversation, reply string) (memory.Correction, error) {
	if k.Wrong() == "" || k.Fact.Entity != "" || k.Fact.Attribute != "" || k.Promoted() {
		return k, nil
	}
	places := []memory.Place{k.Place}
	if k.Scope == memory.ScopeConversation {
		places = append(places, memory.Place{Scope: memory.ScopeUser, UserID: named.UserID})
	}
	var formers []memory.Correction
	for _, place := range places {
		result, err := tx.Query(ctx, selectNewestOfScope, k.Tenant, place.Key(), maxFormers, k.Tenant)
		err = rows(result, err, func(row database.Scanner) error {
			f, err := scanCorrection(row)
			formers = append(formers, f)
			return err
		})
		if err != nil {
			return k, err
		}
	}
	return k.Among(formers, reply), nil
}

package store

import (
	"context"
	"slices"

	"dbslm/pkg/database"
	"dbslm/services/ngram"
)

const selectKnownTokens = `SELECT token_id FROM tbl_l1_vocabulary WHERE model_id = ? AND token_id IN `

// gonePage bounds the ids of one statement.
const gonePage = 1000

// GoneTokens returns, in ascending order and each once, those of the ids that were given to words of the model and are no
// words of it any more: forgotten ones. Their ids are not given again.
func (s *Store) GoneTokens(ctx context.Context, tenant, model string, ids []uint32) ([]uint32, error) {
	m, err := s.Model(ctx, tenant, model)
	if err != nil {
		return nil, err
	}
	var asked []uint32
	for _, id := range ids {
		if id >= ngram.FirstWord && int64(id) < m.TokenEnd {
			asked = append(asked, id)
		}
	}
	slices.Sort(asked)
	asked = slices.Compact(asked)
	known := make(map[uint32]bool, len(asked))
	for page := range slices.Chunk(asked, gonePage) {
		args := []any{int64(m.ID)}
		for _, id := range page {
			args = append(args, int64(id))
		}
		err := s.db.Stream(ctx, selectKnownTokens+database.In(len(page)), args, func(row database.Row) error {
			known[uint32(row.Int(0))] = true
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(asked, func(id uint32) bool { return known[id] }), nil
}

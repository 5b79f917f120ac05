package dbslm

import (
	"context"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	ngramstore "dbslm/services/ngram/store"
)

// ModelCopy says which language model to copy where. From and To are stores as in Config.DB, of the same engine or not; they
// may be the same. A missing embedded store is made, a server's schema must be migrated.
type ModelCopy struct {
	From, To      string
	Tenant        string // of both; empty is "default"
	Model, Target string // names there and here
}

// CopyModel copies a language model from one store to another: documents, counts, settings, and the build that serves. The copy
// is equal to the original in words and generates the same bytes; it appears whole or not at all. progress, if not nil, is
// told how many rows of a table are copied.
func CopyModel(ctx context.Context, c ModelCopy, progress func(table string, rows int64)) (err error) {
	tenant := c.Tenant
	if tenant == "" {
		tenant = "default"
	}
	var stores [2]*ngramstore.Store
	for i, dsn := range []string{c.From, c.To} {
		target, err := database.ParseTarget(dsn)
		if err != nil {
			return err
		}
		if target.Memory() {
			return errors.New(errors.InvalidArgument, "STORE_IN_MEMORY", "a store in memory ends with its process; name a directory or a server to copy from or to")
		}
		db, err := openSchema(ctx, target, ngramstore.Schema, Config{Create: i == 1}, nil)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		stores[i] = ngramstore.New(db, ngramstore.Options{})
	}
	_, err = stores[0].CopyTo(ctx, stores[1], tenant, c.Model, c.Target, progress)
	return err
}

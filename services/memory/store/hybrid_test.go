package store

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
)

// Messages of a hybrid store stay on InnoDB, whatever plugins the server has, and the log says why.
func TestHybrid(t *testing.T) {
	var log bytes.Buffer
	db := databasetest.Open(t, databasetest.HybridTarget(t), Schema, database.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	engines, err := db.Engines(t.Context())
	if err != nil || engines["tbl_l2_messages"] != "InnoDB" {
		t.Errorf("tables on %v, error %v", engines, err)
	}
	if err := db.CheckSchema(t.Context()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "tbl_l2_messages") || !strings.Contains(log.String(), "acknowledged rows were missing") {
		t.Errorf("the log says %q", log.String())
	}
	s := open(t, db)
	exchange(t, s, begin(t, s), "Is the harbour open?", "It is.", noon)
}

-- +goose Up
-- Use of contexts, decayed; written in batches, apart from what training and builds write.
CREATE TABLE IF NOT EXISTS tbl_l1_context_hotness (
  model_id     SMALLINT NOT NULL,
  n            TINYINT UNSIGNED NOT NULL,
  context_hash BIGINT NOT NULL,
  hotness      DOUBLE NOT NULL,
  last_seen    BIGINT NOT NULL,
  PRIMARY KEY (model_id, n, context_hash)
) {{table_options}};

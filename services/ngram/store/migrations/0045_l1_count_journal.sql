-- +goose Up
-- Rows of counts that are decided and not yet in tbl_l1_ng_counts_n, where that table is on an engine that does not roll back
-- (a hybrid store); else always empty. packed holds 20 bytes a row: hash, token, c and a (0: as c) in big-endian order; c = 0 means
-- that the row is to be deleted.
CREATE TABLE IF NOT EXISTS tbl_l1_count_journal (
  model_id SMALLINT NOT NULL,
  part     BIGINT NOT NULL,
  n        TINYINT UNSIGNED NOT NULL,
  packed   LONGBLOB NOT NULL,
  PRIMARY KEY (model_id, part)
) {{rowid_table_options}};

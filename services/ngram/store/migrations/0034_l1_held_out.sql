-- +goose Up
-- The held-out text of a model, a zstd frame: never counted, every build is measured on it.
CREATE TABLE IF NOT EXISTS tbl_l1_held_out (
  tenant     VARCHAR(64) NOT NULL,
  name       VARCHAR(128) NOT NULL,
  sha256     VARBINARY(32) NOT NULL,
  text_bytes BIGINT NOT NULL,
  frame      LONGBLOB NOT NULL,
  PRIMARY KEY (tenant, name)
) {{rowid_table_options}};

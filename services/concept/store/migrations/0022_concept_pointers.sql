-- +goose Up
-- Which build of a bot decides. examples_version grows with every change of its examples; by_hand is 1 while builds are only
-- published by hand. The row of the empty tenant and bot holds the last build id of the store.
CREATE TABLE IF NOT EXISTS tbl_l3_concept_pointers (
  tenant VARCHAR(64) NOT NULL,
  bot VARCHAR(128) NOT NULL,
  build_id BIGINT NOT NULL,
  examples_version BIGINT NOT NULL,
  by_hand SMALLINT NOT NULL,
  PRIMARY KEY (tenant, bot)
) {{table_options}};

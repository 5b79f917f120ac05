-- +goose Up
-- n is the number of features of the context: 1 for a word or word pair. context_hash is the 64-bit xxhash of the feature.
CREATE TABLE IF NOT EXISTS tbl_l3_concept_counts_n (
  tenant VARCHAR(64) NOT NULL,
  bot VARCHAR(128) NOT NULL,
  n SMALLINT NOT NULL,
  context_hash BIGINT NOT NULL,
  concept_id VARCHAR(128) NOT NULL,
  feature VARBINARY(1024) NOT NULL,
  c BIGINT NOT NULL,
  PRIMARY KEY (tenant, bot, n, context_hash, concept_id)
) {{table_options}};

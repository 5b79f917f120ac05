-- +goose Up
-- A build is immutable: what a set of examples makes of the decision model. scale and threshold are of its probabilities.
-- examples_version is that of the set in tbl_l3_concept_pointers; formula the version of the arithmetic.
CREATE TABLE IF NOT EXISTS tbl_l3_concept_builds (
  build_id BIGINT NOT NULL,
  tenant VARCHAR(64) NOT NULL,
  bot VARCHAR(128) NOT NULL,
  examples BIGINT NOT NULL,
  concepts BIGINT NOT NULL,
  examples_version BIGINT NOT NULL,
  formula INT NOT NULL,
  scale DOUBLE NOT NULL,
  threshold DOUBLE NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (build_id)
) {{table_options}};

-- +goose Up
-- How often each feature was seen with each concept of a build: weighted, discriminatively estimated, in 1/1048576.
CREATE TABLE IF NOT EXISTS tbl_l3_concept_build_counts (
  build_id BIGINT NOT NULL,
  context_hash BIGINT NOT NULL,
  concept_id VARCHAR(128) NOT NULL,
  c BIGINT NOT NULL,
  PRIMARY KEY (build_id, context_hash, concept_id)
) {{table_options}};

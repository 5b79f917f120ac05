-- +goose Up
-- The features of a build and how many of its examples hold each. context_hash is the 64-bit xxhash of the feature.
CREATE TABLE IF NOT EXISTS tbl_l3_concept_build_features (
  build_id BIGINT NOT NULL,
  context_hash BIGINT NOT NULL,
  feature VARBINARY(1024) NOT NULL,
  documents BIGINT NOT NULL,
  PRIMARY KEY (build_id, context_hash)
) {{table_options}};

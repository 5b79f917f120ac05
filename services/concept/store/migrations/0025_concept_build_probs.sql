-- +goose Up
-- The probability of each concept in the context of a single word or pair of words (n = 1) or of none (n = 0), as a 16-bit code: 65535 is 1.
CREATE TABLE IF NOT EXISTS tbl_l3_concept_build_probs (
  build_id BIGINT NOT NULL,
  n SMALLINT NOT NULL,
  context_hash BIGINT NOT NULL,
  concept_id VARCHAR(128) NOT NULL,
  q_prob INT NOT NULL,
  PRIMARY KEY (build_id, n, context_hash, concept_id)
) {{table_options}};

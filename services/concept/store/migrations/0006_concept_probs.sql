-- +goose Up
-- The probability of each concept in the context of a single feature (n = 1) or of none (n = 0), as a 16-bit code: 65535 is 1.
-- Derived from the counts by the service, rewritten with them.
CREATE TABLE IF NOT EXISTS tbl_l3_concept_probs_n (
  tenant VARCHAR(64) NOT NULL,
  bot VARCHAR(128) NOT NULL,
  n SMALLINT NOT NULL,
  context_hash BIGINT NOT NULL,
  concept_id VARCHAR(128) NOT NULL,
  q_prob INT NOT NULL,
  PRIMARY KEY (tenant, bot, n, context_hash, concept_id)
) {{table_options}};

-- +goose Up
-- utterance_hash is the 64-bit xxhash of the utterance; the utterance itself is compared too, so a collision is refused.
CREATE TABLE IF NOT EXISTS tbl_l3_concept_examples (
  tenant VARCHAR(64) NOT NULL,
  bot VARCHAR(128) NOT NULL,
  concept_id VARCHAR(128) NOT NULL,
  utterance_hash BIGINT NOT NULL,
  utterance LONGTEXT NOT NULL,
  PRIMARY KEY (tenant, bot, concept_id, utterance_hash)
) {{table_options}};

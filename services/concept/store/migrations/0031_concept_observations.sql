-- +goose Up
-- What was seen of a concept in use: that it was right for an utterance, or was not. It changes no prediction until a review merges it
-- into the examples; learnt_by says who did, learnt_at when (0 for not yet), learnt_as whether the example was added (1), removed (-1) or left (0).
CREATE TABLE IF NOT EXISTS tbl_l3_concept_observations (
  tenant VARCHAR(64) NOT NULL,
  request_id VARCHAR(128) NOT NULL,
  bot VARCHAR(128) NOT NULL,
  conversation_id VARCHAR(64) NOT NULL,
  user_id VARCHAR(256) NOT NULL,
  concept_id VARCHAR(128) NOT NULL,
  utterance LONGTEXT NOT NULL,
  was_right SMALLINT NOT NULL,
  created_at BIGINT NOT NULL,
  learnt_by VARCHAR(256) NOT NULL,
  learnt_at BIGINT NOT NULL,
  learnt_as SMALLINT NOT NULL,
  PRIMARY KEY (tenant, request_id)
) {{table_options}};

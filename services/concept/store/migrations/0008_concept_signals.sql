-- +goose Up
-- expires_at 0 is never. turn_id is '' while the signal waits; claim_seq orders the claims of one turn.
CREATE TABLE IF NOT EXISTS tbl_l3_concept_signals (
  tenant VARCHAR(64) NOT NULL,
  conversation_id VARCHAR(64) NOT NULL,
  signal_id VARCHAR(64) NOT NULL,
  request_id VARCHAR(128) NOT NULL,
  bot VARCHAR(128) NOT NULL,
  concept_id VARCHAR(128) NOT NULL,
  score DOUBLE NOT NULL,
  payload LONGTEXT NOT NULL,
  state VARCHAR(16) NOT NULL,
  turn_id VARCHAR(64) NOT NULL,
  claim_seq INT NOT NULL,
  expires_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, conversation_id, signal_id)
) {{table_options}};

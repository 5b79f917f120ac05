-- +goose Up
-- Text sequences preferred or suppressed. anchor is the longest folded word of pattern, empty for one that always applies.
CREATE TABLE IF NOT EXISTS tbl_l2_token_bias (
  tenant          VARCHAR(64) NOT NULL,
  bias_id         VARCHAR(36) NOT NULL,
  request_id      VARCHAR(128) NOT NULL,
  scope           VARCHAR(12) NOT NULL,
  scope_key       VARCHAR(258) NOT NULL,
  conversation_id VARCHAR(36) NULL,
  user_id         VARCHAR(256) NOT NULL,
  model           VARCHAR(128) NOT NULL,
  pattern         LONGTEXT NOT NULL,
  anchor          VARCHAR(64) NOT NULL,
  sequence_text   VARCHAR(1024) NOT NULL,
  strength_log10  DOUBLE NOT NULL,
  expires_at      BIGINT NULL,
  correction_id   VARCHAR(36) NULL,
  created_at      BIGINT NOT NULL,
  PRIMARY KEY (tenant, bias_id),
  UNIQUE (tenant, request_id),
  FOREIGN KEY (tenant, conversation_id) REFERENCES tbl_l2_conversations (tenant, conversation_id),
  FOREIGN KEY (tenant, correction_id) REFERENCES tbl_l2_correction_log (tenant, correction_id)
) {{rowid_table_options}};

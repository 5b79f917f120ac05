-- +goose Up
-- Facts told without a correction. active_key as in tbl_l2_correction_log.
CREATE TABLE IF NOT EXISTS tbl_l2_facts (
  tenant          VARCHAR(64) NOT NULL,
  fact_id         VARCHAR(36) NOT NULL,
  request_id      VARCHAR(128) NOT NULL,
  scope           VARCHAR(12) NOT NULL,
  scope_key       VARCHAR(258) NOT NULL,
  conversation_id VARCHAR(36) NULL,
  user_id         VARCHAR(256) NOT NULL,
  model           VARCHAR(128) NOT NULL,
  entity          VARCHAR(512) NOT NULL,
  attribute       VARCHAR(512) NOT NULL,
  value           LONGTEXT NOT NULL,
  active          SMALLINT NOT NULL,
  active_key      VARCHAR(64) NULL,
  created_at      BIGINT NOT NULL,
  retired_at      BIGINT NULL,
  PRIMARY KEY (tenant, fact_id),
  UNIQUE (tenant, request_id),
  UNIQUE (tenant, active_key),
  FOREIGN KEY (tenant, conversation_id) REFERENCES tbl_l2_conversations (tenant, conversation_id)
) {{rowid_table_options}};

-- +goose Up
-- Corrections; content is never rewritten. conversation_id is where a correction was made, in every scope. active_key is a
-- digest of scope and subject while the correction is active and NULL afterwards, so its unique key admits one active
-- correction per scope and subject. error_context_pattern is what the correction is looked for by, folded, with LIKE's
-- wildcards escaped by "!".
CREATE TABLE IF NOT EXISTS tbl_l2_correction_log (
  tenant                VARCHAR(64) NOT NULL,
  correction_id         VARCHAR(36) NOT NULL,
  request_id            VARCHAR(128) NULL,
  scope                 VARCHAR(12) NOT NULL,
  scope_key             VARCHAR(258) NOT NULL,
  conversation_id       VARCHAR(36) NULL,
  user_id               VARCHAR(256) NOT NULL,
  model                 VARCHAR(128) NOT NULL,
  error_message_id      VARCHAR(36) NULL,
  correction_message_id VARCHAR(36) NULL,
  error_context         LONGTEXT NOT NULL,
  error_context_pattern LONGTEXT NOT NULL,
  corrected_fact_json   LONGTEXT NOT NULL,
  subject               LONGTEXT NOT NULL,
  active                SMALLINT NOT NULL,
  active_key            VARCHAR(64) NULL,
  superseded_by         VARCHAR(36) NULL,
  superseded_at         BIGINT NULL,
  revoked_at            BIGINT NULL,
  revoke_reason         VARCHAR(1024) NOT NULL,
  recorded_by           VARCHAR(256) NOT NULL,
  created_at            BIGINT NOT NULL,
  version               BIGINT NOT NULL,
  PRIMARY KEY (tenant, correction_id),
  UNIQUE (tenant, request_id),
  UNIQUE (tenant, active_key),
  FOREIGN KEY (tenant, conversation_id) REFERENCES tbl_l2_conversations (tenant, conversation_id)
) {{rowid_table_options}};

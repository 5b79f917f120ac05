-- +goose Up
-- One row per conversation. Its figures are counters that every change moves, so nothing is ever counted; its row is also
-- the lock under which messages and turns of the conversation are written. The last message's seq is user_messages +
-- assistant_messages. open_turn_id names the one turn that waits for its reply, open_until the end of its lease.
CREATE TABLE IF NOT EXISTS tbl_l2_conversations (
  tenant             VARCHAR(64) NOT NULL,
  conversation_id    VARCHAR(36) NOT NULL,
  request_id         VARCHAR(128) NULL,
  user_id            VARCHAR(256) NOT NULL,
  agent_id           VARCHAR(256) NOT NULL,
  title              VARCHAR(512) NOT NULL,
  metadata_json      LONGTEXT NOT NULL,
  archived           SMALLINT NOT NULL,
  user_messages      BIGINT NOT NULL,
  assistant_messages BIGINT NOT NULL,
  committed_turns    BIGINT NOT NULL,
  failed_turns       BIGINT NOT NULL,
  active_corrections BIGINT NOT NULL,
  content_bytes      BIGINT NOT NULL,
  first_message_at   BIGINT NULL,
  last_message_at    BIGINT NULL,
  open_turn_id       VARCHAR(36) NULL,
  open_until         BIGINT NULL,
  created_at         BIGINT NOT NULL,
  updated_at         BIGINT NOT NULL,
  PRIMARY KEY (tenant, conversation_id),
  UNIQUE (tenant, request_id)
) {{rowid_table_options}};

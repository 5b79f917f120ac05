-- +goose Up
-- seq is the total order of a conversation, from 1 without gaps; created_at is only what the clock said. content_end is the
-- length in bytes of all content of the conversation up to and including this message: it bounds what a window or a page
-- reads without looking at the content. finish_reason is empty for the person's messages.
CREATE TABLE IF NOT EXISTS tbl_l2_messages (
  tenant          VARCHAR(64) NOT NULL,
  conversation_id VARCHAR(36) NOT NULL,
  seq             BIGINT NOT NULL,
  message_id      VARCHAR(36) NOT NULL,
  request_id      VARCHAR(128) NULL,
  turn_id         VARCHAR(36) NULL,
  sender          VARCHAR(9) NOT NULL,
  finish_reason   VARCHAR(16) NOT NULL,
  content_end     BIGINT NOT NULL,
  created_at      BIGINT NOT NULL,
  content         LONGTEXT NOT NULL,
  PRIMARY KEY (tenant, conversation_id, seq),
  UNIQUE (tenant, message_id),
  UNIQUE (tenant, conversation_id, request_id),
  FOREIGN KEY (tenant, conversation_id) REFERENCES tbl_l2_conversations (tenant, conversation_id)
) {{rowid_table_options}};

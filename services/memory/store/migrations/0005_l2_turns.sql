-- +goose Up
-- One exchange. state is open, committed or failed; a turn whose lease has run out counts as failed and is closed by whoever
-- meets it. The pins (seed to concept_build_id) are what a retry must repeat; seed is an unsigned number kept in a signed column.
CREATE TABLE IF NOT EXISTS tbl_l2_turns (
  tenant           VARCHAR(64) NOT NULL,
  turn_id          VARCHAR(36) NOT NULL,
  conversation_id  VARCHAR(36) NOT NULL,
  request_id       VARCHAR(128) NOT NULL,
  state            VARCHAR(9) NOT NULL,
  lease_until      BIGINT NOT NULL,
  seed             BIGINT NOT NULL,
  model            VARCHAR(128) NOT NULL,
  ngram_build_id   BIGINT NOT NULL,
  concept_build_id BIGINT NOT NULL,
  user_message_id  VARCHAR(36) NOT NULL,
  user_seq         BIGINT NOT NULL,
  reply_message_id VARCHAR(36) NULL,
  reply_seq        BIGINT NULL,
  failure          VARCHAR(1024) NOT NULL,
  created_at       BIGINT NOT NULL,
  closed_at        BIGINT NULL,
  PRIMARY KEY (tenant, turn_id),
  UNIQUE (tenant, conversation_id, request_id),
  FOREIGN KEY (tenant, conversation_id) REFERENCES tbl_l2_conversations (tenant, conversation_id)
) {{table_options}};

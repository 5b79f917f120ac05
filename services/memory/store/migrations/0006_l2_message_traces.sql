-- +goose Up
-- What cannot be recomputed about a reply. body is the gateway's trace, zstd-compressed; body_bytes its length before that.
CREATE TABLE IF NOT EXISTS tbl_l2_message_traces (
  tenant           VARCHAR(64) NOT NULL,
  message_id       VARCHAR(36) NOT NULL,
  version          BIGINT NOT NULL,
  model            VARCHAR(128) NOT NULL,
  ngram_build_id   BIGINT NOT NULL,
  concept_build_id BIGINT NOT NULL,
  body_bytes       BIGINT NOT NULL,
  created_at       BIGINT NOT NULL,
  body             LONGBLOB NOT NULL,
  PRIMARY KEY (tenant, message_id),
  FOREIGN KEY (tenant, message_id) REFERENCES tbl_l2_messages (tenant, message_id)
) {{rowid_table_options}};

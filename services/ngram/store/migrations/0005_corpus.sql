-- +goose Up
-- A document is received, then stored, then counted. bytes_done is the cursor of counting: bytes of the stored text, always
-- the end of a sentence, moved by the transaction that counts.
CREATE TABLE IF NOT EXISTS tbl_corpus (
  model_id       SMALLINT NOT NULL,
  label          VARBINARY(512) NOT NULL,
  document_id    VARCHAR(36) NOT NULL,
  content_hash   VARBINARY(32) NOT NULL,
  weight         INT NOT NULL,
  state          VARCHAR(16) NOT NULL,
  text_bytes     BIGINT NOT NULL,
  sentences      BIGINT NOT NULL,
  tokens         BIGINT NOT NULL,
  ngrams         BIGINT NOT NULL,
  bytes_done     BIGINT NOT NULL,
  text_kept      SMALLINT NOT NULL,
  stored_bytes   BIGINT NOT NULL,
  created_at     BIGINT NOT NULL,
  PRIMARY KEY (model_id, label),
  UNIQUE (model_id, document_id),
  FOREIGN KEY (model_id) REFERENCES tbl_l1_models (model_id)
) {{table_options}};

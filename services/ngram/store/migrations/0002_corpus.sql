-- +goose Up
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
  sentences_done BIGINT NOT NULL,
  text_kept      SMALLINT NOT NULL,
  created_at     BIGINT NOT NULL,
  PRIMARY KEY (model_id, label),
  UNIQUE (model_id, document_id),
  FOREIGN KEY (model_id) REFERENCES tbl_l1_models (model_id)
) {{table_options}};

-- The text of a document in pieces, each a zstd frame.
CREATE TABLE IF NOT EXISTS tbl_corpus_text (
  model_id    SMALLINT NOT NULL,
  document_id VARCHAR(36) NOT NULL,
  seq         INT NOT NULL,
  piece       LONGBLOB NOT NULL,
  PRIMARY KEY (model_id, document_id, seq)
) {{rowid_table_options}};

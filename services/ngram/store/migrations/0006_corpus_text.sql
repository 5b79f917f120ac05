-- +goose Up
-- The normalised text of a document in pieces, each a zstd frame. first_byte is where the piece begins in the text.
CREATE TABLE IF NOT EXISTS tbl_corpus_text (
  model_id    SMALLINT NOT NULL,
  document_id VARCHAR(36) NOT NULL,
  first_byte  BIGINT NOT NULL,
  piece       LONGBLOB NOT NULL,
  PRIMARY KEY (model_id, document_id, first_byte)
) {{rowid_table_options}};

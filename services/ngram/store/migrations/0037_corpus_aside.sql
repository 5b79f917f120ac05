-- +goose Up
-- Documents that are not (yet, or any more) in the corpus, in state receiving, leaving (replaced by other text under the label)
-- or forgetting. bytes_done is how much of the text is in the counts, bytes_out how much of that is subtracted again.
-- last_version is the counts_version from which on builds are without it, NULL while it is not wholly subtracted.
CREATE TABLE IF NOT EXISTS tbl_corpus_aside (
  model_id       SMALLINT NOT NULL,
  document_id    VARCHAR(36) NOT NULL,
  label          VARBINARY(512) NOT NULL,
  content_hash   VARBINARY(32) NOT NULL,
  weight         INT NOT NULL,
  state          VARCHAR(16) NOT NULL,
  text_bytes     BIGINT NOT NULL,
  sentences      BIGINT NOT NULL,
  tokens         BIGINT NOT NULL,
  ngrams         BIGINT NOT NULL,
  bytes_done     BIGINT NOT NULL,
  bytes_out      BIGINT NOT NULL,
  text_kept      SMALLINT NOT NULL,
  stored_bytes   BIGINT NOT NULL,
  first_version  BIGINT NULL,
  last_version   BIGINT NULL,
  created_at     BIGINT NOT NULL,
  PRIMARY KEY (model_id, document_id)
) {{table_options}};

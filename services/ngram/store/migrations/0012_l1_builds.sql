-- +goose Up
-- swept is 1 when no row of a failed or dropped build is left. served_seq grows with every publication and tells rollback
-- which build served before; NULL for a build that never served or was rolled back.
CREATE TABLE IF NOT EXISTS tbl_l1_builds (
  build_id         BIGINT NOT NULL,
  model_id         SMALLINT NOT NULL,
  tenant           VARCHAR(64) NOT NULL,
  name             VARCHAR(128) NOT NULL,
  state            VARCHAR(16) NOT NULL,
  swept            SMALLINT NOT NULL,
  smoothing        VARCHAR(32) NOT NULL,
  kenlm_quirk      SMALLINT NOT NULL,
  storage          VARCHAR(8) NOT NULL,
  max_order        SMALLINT NOT NULL,
  vocabulary_end   BIGINT NOT NULL,
  vocabulary_size  BIGINT NOT NULL,
  counts_version   BIGINT NOT NULL,
  tokens           BIGINT NOT NULL,
  rows_added       BIGINT NOT NULL,
  rows_closed      BIGINT NOT NULL,
  unigram_codebook BIGINT NULL,
  logprob_codebook BIGINT NULL,
  backoff_codebook BIGINT NULL,
  warnings         LONGTEXT NOT NULL,
  failure          LONGTEXT NOT NULL,
  served_seq       BIGINT NULL,
  created_at       BIGINT NOT NULL,
  finished_at      BIGINT NULL,
  PRIMARY KEY (build_id)
) {{table_options}};

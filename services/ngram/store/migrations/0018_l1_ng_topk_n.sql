-- +goose Up
-- The probabilities of tbl_l1_ng_probs_n for reading: all followers of a context, likeliest first, packed into chunks of
-- at most 4096, with the backoff weight of the context (log10) on chunk 0 as a code or a value. The weight of the empty
-- context normalises the unigrams.
CREATE TABLE IF NOT EXISTS tbl_l1_ng_topk_n (
  model_id     SMALLINT NOT NULL,
  n            TINYINT UNSIGNED NOT NULL,
  context_hash BIGINT NOT NULL,
  chunk        SMALLINT NOT NULL,
  since_build  MEDIUMINT UNSIGNED NOT NULL,
  until_build  MEDIUMINT UNSIGNED NULL,
  q_backoff    SMALLINT UNSIGNED NULL,
  backoff      DOUBLE NULL,
  followers    SMALLINT NOT NULL,
  packed       BLOB NOT NULL,
  PRIMARY KEY (model_id, n, context_hash, chunk, since_build)
) {{table_options}};

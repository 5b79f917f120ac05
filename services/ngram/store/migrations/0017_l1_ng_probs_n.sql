-- +goose Up
-- A row belongs to every build b of its model with since_build <= b < until_build; NULL is open. Exactly one of
-- q_logprob (a code of the build's codebook) and logprob (log10, exact storage) is set.
CREATE TABLE IF NOT EXISTS tbl_l1_ng_probs_n (
  model_id      SMALLINT NOT NULL,
  n             TINYINT UNSIGNED NOT NULL,
  context_hash  BIGINT NOT NULL,
  next_token_id INT NOT NULL,
  since_build   MEDIUMINT UNSIGNED NOT NULL,
  until_build   MEDIUMINT UNSIGNED NULL,
  q_logprob     SMALLINT UNSIGNED NULL,
  logprob       DOUBLE NULL,
  PRIMARY KEY (model_id, n, context_hash, next_token_id, since_build)
) {{table_options}};

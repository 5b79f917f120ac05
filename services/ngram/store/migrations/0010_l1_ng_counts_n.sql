-- +goose Up
-- Every n-gram of every order: c is how often it occurred (weights applied), a its adjusted count, NULL where that is c too:
-- always at the highest order and behind <s>, and mostly elsewhere. INT, because the table has a row for every n-gram and
-- pays for every byte; a greater count is refused.
CREATE TABLE IF NOT EXISTS tbl_l1_ng_counts_n (
  model_id      SMALLINT NOT NULL,
  n             TINYINT UNSIGNED NOT NULL,
  context_hash  BIGINT NOT NULL,
  next_token_id INT NOT NULL,
  c             INT NOT NULL,
  a             INT NULL,
  PRIMARY KEY (model_id, n, context_hash, next_token_id)
) {{table_options}};

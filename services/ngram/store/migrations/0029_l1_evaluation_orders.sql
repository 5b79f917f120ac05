-- +goose Up
-- What the tokens of an evaluation add up to, by the length n of the n-gram found; oov = 1 for the unknown ones. Perplexity is
-- POWER(10, -SUM(log10_sum) / SUM(tokens)), without unknown tokens that of the rows with oov = 0.
CREATE TABLE IF NOT EXISTS tbl_l1_evaluation_orders (
  evaluation_id VARCHAR(36) NOT NULL,
  n             SMALLINT NOT NULL,
  oov           SMALLINT NOT NULL,
  tokens        BIGINT NOT NULL,
  log10_sum     DOUBLE NOT NULL,
  PRIMARY KEY (evaluation_id, n, oov)
) {{table_options}};

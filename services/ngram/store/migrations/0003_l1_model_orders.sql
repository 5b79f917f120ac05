-- +goose Up
-- Totals of the counts of one order, and how many of its n-grams have the adjusted count 1, 2, 3, 4: what a build needs
-- before it reads the counts, and must find in them.
CREATE TABLE IF NOT EXISTS tbl_l1_model_orders (
  model_id       SMALLINT NOT NULL,
  n              SMALLINT NOT NULL,
  ngrams         BIGINT NOT NULL,
  contexts       BIGINT NOT NULL,
  raw_total      BIGINT NOT NULL,
  adjusted_total BIGINT NOT NULL,
  t1             BIGINT NOT NULL,
  t2             BIGINT NOT NULL,
  t3             BIGINT NOT NULL,
  t4             BIGINT NOT NULL,
  PRIMARY KEY (model_id, n)
) {{table_options}};

-- +goose Up
-- By order: n-grams that occurred at most cutoff times were left out, and pruned is how many n-grams were left out in all.
CREATE TABLE IF NOT EXISTS tbl_l1_pruning_orders (
  build_id BIGINT NOT NULL,
  n        TINYINT UNSIGNED NOT NULL,
  cutoff   BIGINT NOT NULL,
  pruned   BIGINT NOT NULL,
  PRIMARY KEY (build_id, n),
  FOREIGN KEY (build_id) REFERENCES tbl_l1_builds (build_id)
) {{table_options}};

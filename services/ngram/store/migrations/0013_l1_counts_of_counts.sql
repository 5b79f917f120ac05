-- +goose Up
CREATE TABLE IF NOT EXISTS tbl_l1_counts_of_counts (
  build_id BIGINT NOT NULL,
  n        TINYINT UNSIGNED NOT NULL,
  k        SMALLINT NOT NULL,
  t        BIGINT NOT NULL,
  PRIMARY KEY (build_id, n, k),
  FOREIGN KEY (build_id) REFERENCES tbl_l1_builds (build_id)
) {{table_options}};

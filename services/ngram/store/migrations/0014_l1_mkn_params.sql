-- +goose Up
CREATE TABLE IF NOT EXISTS tbl_l1_mkn_params (
  build_id BIGINT NOT NULL,
  n        TINYINT UNSIGNED NOT NULL,
  d1       DOUBLE NOT NULL,
  d2       DOUBLE NOT NULL,
  d3       DOUBLE NOT NULL,
  fallback SMALLINT NOT NULL,
  ngrams   BIGINT NOT NULL,
  PRIMARY KEY (build_id, n),
  FOREIGN KEY (build_id) REFERENCES tbl_l1_builds (build_id)
) {{table_options}};

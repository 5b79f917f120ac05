-- +goose Up
-- The weights of a build by Jelinek-Mercer interpolation: of the longest context, by order and by how often a follower of the
-- context occurred on average (in half octaves); events is how many tokens were held out to estimate it.
CREATE TABLE IF NOT EXISTS tbl_l1_jm_weights (
  build_id BIGINT NOT NULL,
  n        TINYINT UNSIGNED NOT NULL,
  class    SMALLINT NOT NULL,
  lambda   DOUBLE NOT NULL,
  events   BIGINT NOT NULL,
  PRIMARY KEY (build_id, n, class),
  FOREIGN KEY (build_id) REFERENCES tbl_l1_builds (build_id)
) {{table_options}};

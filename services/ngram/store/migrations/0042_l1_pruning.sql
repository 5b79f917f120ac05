-- +goose Up
-- What was asked to be left out of a build, and the relative entropy (nats) that was applied. cutoffs is how many of the counts
-- in tbl_l1_pruning_orders were given; the last of them holds for the orders above.
CREATE TABLE IF NOT EXISTS tbl_l1_pruning (
  build_id          BIGINT NOT NULL,
  threshold         DOUBLE NOT NULL,
  target_ngrams     BIGINT NOT NULL,
  target_bytes      BIGINT NOT NULL,
  applied_threshold DOUBLE NOT NULL,
  cutoffs           SMALLINT NOT NULL,
  PRIMARY KEY (build_id),
  FOREIGN KEY (build_id) REFERENCES tbl_l1_builds (build_id)
) {{table_options}};

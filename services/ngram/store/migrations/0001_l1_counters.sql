-- +goose Up
-- Numbers that only grow: model_id, build_id, served_seq. A number is never given out twice, so caches keyed by one
-- never go stale.
CREATE TABLE IF NOT EXISTS tbl_l1_counters (
  name  VARCHAR(32) NOT NULL,
  value BIGINT NOT NULL,
  PRIMARY KEY (name)
) {{table_options}};

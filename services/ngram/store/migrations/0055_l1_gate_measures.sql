-- +goose Up
-- How a build did on a text that was held out after it was derived, as the gate measured it from its rows. What a build
-- measured while it was derived is in tbl_l1_build_measures. log10 is the sum over all events, as stored.
CREATE TABLE IF NOT EXISTS tbl_l1_gate_measures (
  build_id BIGINT NOT NULL,
  sha256   VARBINARY(32) NOT NULL,
  events   BIGINT NOT NULL,
  log10    DOUBLE NOT NULL,
  PRIMARY KEY (build_id, sha256),
  FOREIGN KEY (build_id) REFERENCES tbl_l1_builds (build_id)
) {{table_options}};

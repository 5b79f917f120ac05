-- +goose Up
-- What a build shows, and how it did on the text that was held out when it was derived (sha256 NULL: none). log10 and
-- exact_log10 are sums over all events, as stored and before rounding to codes.
CREATE TABLE IF NOT EXISTS tbl_l1_build_measures (
  build_id    BIGINT NOT NULL,
  shown_rows  BIGINT NOT NULL,
  shown_bytes BIGINT NOT NULL,
  sha256      VARBINARY(32) NULL,
  sentences   BIGINT NOT NULL,
  tokens      BIGINT NOT NULL,
  oov         BIGINT NOT NULL,
  log10       DOUBLE NOT NULL,
  exact_log10 DOUBLE NOT NULL,
  PRIMARY KEY (build_id),
  FOREIGN KEY (build_id) REFERENCES tbl_l1_builds (build_id)
) {{table_options}};

-- +goose Up
-- Results of measuring a text with a build. evaluation_id is a UUIDv7, so ids ascend with time. options and details are JSON:
-- what was asked beside scoring, and its results. Rows go with their model, not with their build.
CREATE TABLE IF NOT EXISTS tbl_l1_evaluations (
  tenant        VARCHAR(64) NOT NULL,
  evaluation_id VARCHAR(36) NOT NULL,
  name          VARCHAR(128) NOT NULL,
  build_id      BIGINT NOT NULL,
  label         VARBINARY(512) NOT NULL,
  text_sha256   VARBINARY(32) NOT NULL,
  text_bytes    BIGINT NOT NULL,
  sentences     BIGINT NOT NULL,
  options       LONGTEXT NOT NULL,
  details       LONGTEXT NOT NULL,
  created_at    BIGINT NOT NULL,
  PRIMARY KEY (tenant, evaluation_id)
) {{table_options}};

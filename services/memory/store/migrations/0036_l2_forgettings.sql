-- +goose Up
-- That replies were forgotten, not what was in them.
CREATE TABLE IF NOT EXISTS tbl_l2_forgettings (
  tenant      VARCHAR(64) NOT NULL,
  request_id  VARCHAR(128) NOT NULL,
  model       VARCHAR(128) NOT NULL,
  traces      BIGINT NOT NULL,
  shortened   BIGINT NOT NULL,
  started_at  BIGINT NOT NULL,
  finished_at BIGINT NULL,
  PRIMARY KEY (tenant, request_id)
) {{table_options}};

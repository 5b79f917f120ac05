-- +goose Up
-- That something was erased, not what: subject is a digest of the tenant and the person or conversation.
CREATE TABLE IF NOT EXISTS tbl_l2_erasures (
  tenant       VARCHAR(64) NOT NULL,
  erasure_id   VARCHAR(36) NOT NULL,
  request_id   VARCHAR(128) NOT NULL,
  kind         VARCHAR(12) NOT NULL,
  subject      VARCHAR(64) NOT NULL,
  rows_removed BIGINT NOT NULL,
  started_at   BIGINT NOT NULL,
  finished_at  BIGINT NULL,
  PRIMARY KEY (tenant, erasure_id),
  UNIQUE (tenant, request_id)
) {{table_options}};

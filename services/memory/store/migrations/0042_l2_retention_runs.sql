-- +goose Up
-- That a policy was applied and how much went, not what. finished_at is NULL while it is at work and after it was stopped.
CREATE TABLE IF NOT EXISTS tbl_l2_retention_runs (
  tenant        VARCHAR(64) NOT NULL,
  run_id        VARCHAR(36) NOT NULL,
  started_at    BIGINT NOT NULL,
  finished_at   BIGINT NULL,
  conversations BIGINT NOT NULL,
  messages      BIGINT NOT NULL,
  traces        BIGINT NOT NULL,
  detail_bytes  BIGINT NOT NULL,
  PRIMARY KEY (tenant, run_id)
) {{table_options}};

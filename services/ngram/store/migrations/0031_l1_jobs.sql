-- +goose Up
-- Ingests and builds. A running job renews lease_until; cancel_requested is how others ask it to stop.
CREATE TABLE IF NOT EXISTS tbl_l1_jobs (
  job_id           VARCHAR(36) NOT NULL,
  tenant           VARCHAR(64) NOT NULL,
  name             VARCHAR(128) NOT NULL,
  kind             VARCHAR(16) NOT NULL,
  state            VARCHAR(16) NOT NULL,
  owner            VARCHAR(256) NOT NULL,
  phase            VARBINARY(512) NOT NULL,
  done             BIGINT NOT NULL,
  total            BIGINT NOT NULL,
  build_id         BIGINT NOT NULL,
  message          LONGTEXT NOT NULL,
  cancel_requested SMALLINT NOT NULL,
  lease_until      BIGINT NOT NULL,
  created_at       BIGINT NOT NULL,
  updated_at       BIGINT NOT NULL,
  finished_at      BIGINT NULL,
  PRIMARY KEY (job_id)
) {{table_options}};

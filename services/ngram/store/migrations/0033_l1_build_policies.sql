-- +goose Up
-- When builds of a model are made without being asked for, and which are kept. claimed_until is held by the replica that
-- acts on the policy.
CREATE TABLE IF NOT EXISTS tbl_l1_build_policies (
  tenant          VARCHAR(64) NOT NULL,
  name            VARCHAR(128) NOT NULL,
  after_documents BIGINT NOT NULL,
  every_micros    BIGINT NOT NULL,
  storage         VARCHAR(8) NOT NULL,
  keep_builds     BIGINT NOT NULL,
  disk_budget     BIGINT NOT NULL,
  max_increase    DOUBLE NULL,
  claimed_until   BIGINT NOT NULL,
  last_run        BIGINT NULL,
  PRIMARY KEY (tenant, name)
) {{table_options}};

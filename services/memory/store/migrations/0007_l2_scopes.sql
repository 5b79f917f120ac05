-- +goose Up
-- The lock of a scope ("c:" conversation, "u:" person, "m:" model) under which its corrections and facts change, and the
-- time of its latest entry: the next one is later, also when the clock is not.
CREATE TABLE IF NOT EXISTS tbl_l2_scopes (
  tenant    VARCHAR(64) NOT NULL,
  scope_key VARCHAR(258) NOT NULL,
  last_at   BIGINT NOT NULL,
  PRIMARY KEY (tenant, scope_key)
) {{table_options}};

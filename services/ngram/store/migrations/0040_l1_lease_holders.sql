-- +goose Up
-- Which process holds a model: boot id and pid namespace of its machine, pid, and when it began. Where they tell that the
-- process is dead, the lease of tbl_l1_model_names with that token is over before its time.
CREATE TABLE IF NOT EXISTS tbl_l1_lease_holders (
  tenant      VARCHAR(64) NOT NULL,
  name        VARCHAR(128) NOT NULL,
  lease_token VARCHAR(36) NOT NULL,
  holder      VARCHAR(256) NOT NULL,
  PRIMARY KEY (tenant, name)
) {{table_options}};

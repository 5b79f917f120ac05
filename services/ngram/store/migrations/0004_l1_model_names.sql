-- +goose Up
-- A name points to the generation that is trained and to the build that serves, which may be of the generation before.
CREATE TABLE IF NOT EXISTS tbl_l1_model_names (
  tenant          VARCHAR(64) NOT NULL,
  name            VARCHAR(128) NOT NULL,
  model_id        SMALLINT NOT NULL,
  published_build BIGINT NULL,
  lease_owner     VARCHAR(256) NULL,
  lease_token     VARCHAR(36) NULL,
  lease_until     BIGINT NOT NULL,
  created_at      BIGINT NOT NULL,
  PRIMARY KEY (tenant, name),
  FOREIGN KEY (model_id) REFERENCES tbl_l1_models (model_id)
) {{table_options}};

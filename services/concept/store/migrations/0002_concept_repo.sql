-- +goose Up
CREATE TABLE IF NOT EXISTS tbl_l3_concept_repo (
  tenant VARCHAR(64) NOT NULL,
  bot VARCHAR(128) NOT NULL,
  concept_id VARCHAR(128) NOT NULL,
  description VARCHAR(2048) NOT NULL,
  metadata_schema LONGTEXT NOT NULL,
  static_payload LONGTEXT NOT NULL,
  provider_address VARCHAR(256) NOT NULL,
  priority INT NOT NULL,
  disabled SMALLINT NOT NULL,
  version INT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, bot, concept_id)
) {{table_options}};

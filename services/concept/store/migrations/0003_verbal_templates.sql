-- +goose Up
CREATE TABLE IF NOT EXISTS tbl_l3_verbal_templates (
  tenant VARCHAR(64) NOT NULL,
  bot VARCHAR(128) NOT NULL,
  concept_id VARCHAR(128) NOT NULL,
  language_code VARCHAR(32) NOT NULL,
  name VARCHAR(128) NOT NULL,
  template_id VARCHAR(64) NOT NULL,
  template_string LONGTEXT NOT NULL,
  weight DOUBLE NOT NULL,
  condition_text VARCHAR(512) NOT NULL,
  version INT NOT NULL,
  PRIMARY KEY (tenant, bot, concept_id, language_code, name)
) {{table_options}};

-- +goose Up
-- How a token is written where its form differs from the token itself, chosen by a build; visible like probabilities.
CREATE TABLE IF NOT EXISTS tbl_l1_forms (
  model_id    SMALLINT NOT NULL,
  token_id    INT NOT NULL,
  since_build MEDIUMINT UNSIGNED NOT NULL,
  until_build MEDIUMINT UNSIGNED NULL,
  form        VARBINARY(1024) NULL,
  PRIMARY KEY (model_id, token_id, since_build)
) {{table_options}};

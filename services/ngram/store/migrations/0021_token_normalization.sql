-- +goose Up
CREATE TABLE IF NOT EXISTS tbl_token_normalization (
  model_id SMALLINT NOT NULL,
  source   VARBINARY(1024) NOT NULL,
  target   VARBINARY(1024) NOT NULL,
  PRIMARY KEY (model_id, source)
) {{table_options}};

-- +goose Up
CREATE TABLE IF NOT EXISTS tbl_decode_bans (
  model_id SMALLINT NOT NULL,
  ban      VARBINARY(256) NOT NULL,
  PRIMARY KEY (model_id, ban)
) {{table_options}};

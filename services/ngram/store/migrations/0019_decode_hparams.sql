-- +goose Up
-- model_id 0 stands for every model.
CREATE TABLE IF NOT EXISTS tbl_decode_hparams (
  model_id   SMALLINT NOT NULL,
  profile    VARCHAR(64) NOT NULL,
  parameters LONGTEXT NOT NULL,
  PRIMARY KEY (model_id, profile)
) {{table_options}};

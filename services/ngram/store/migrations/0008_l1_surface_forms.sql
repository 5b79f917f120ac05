-- +goose Up
-- How a token was written, away from the start of a sentence and at it.
CREATE TABLE IF NOT EXISTS tbl_l1_surface_forms (
  model_id    SMALLINT NOT NULL,
  token_id    INT NOT NULL,
  form        VARBINARY(1024) NOT NULL,
  inner_count BIGINT NOT NULL,
  start_count BIGINT NOT NULL,
  PRIMARY KEY (model_id, token_id, form)
) {{table_options}};

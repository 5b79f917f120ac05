-- +goose Up
-- Token ids are given in the order of first appearance; 0 is <unk>, 1 is <s>, 2 is </s>, all three is_control = 1. Under
-- the policy "literal" a word may be written like a control token; is_control tells them apart.
CREATE TABLE IF NOT EXISTS tbl_l1_vocabulary (
  model_id    SMALLINT NOT NULL,
  token_id    INT NOT NULL,
  token       VARBINARY(1024) NOT NULL,
  is_control  SMALLINT NOT NULL,
  freq_global BIGINT NOT NULL,
  PRIMARY KEY (model_id, token_id),
  UNIQUE (model_id, token, is_control)
) {{table_options}};

-- +goose Up
-- The weight of the session cache by the number of tokens in the history: the longest entry not above it. model_id 0 stands
-- for every model that has no rows of its own.
CREATE TABLE IF NOT EXISTS tbl_decode_cache_weights (
  model_id SMALLINT NOT NULL,
  tokens   BIGINT NOT NULL,
  weight   DOUBLE NOT NULL,
  PRIMARY KEY (model_id, tokens)
) {{table_options}};

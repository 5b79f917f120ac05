-- +goose Up
-- The builds of language models that wrote replies. A reply's transaction holds its build's row shared, so that forgetting the
-- build waits for it and no later one passes.
CREATE TABLE IF NOT EXISTS tbl_l2_reply_builds (
  tenant         VARCHAR(64) NOT NULL,
  model          VARCHAR(128) NOT NULL,
  ngram_build_id BIGINT NOT NULL,
  forgotten_at   BIGINT NULL,
  PRIMARY KEY (tenant, model, ngram_build_id)
) {{table_options}};

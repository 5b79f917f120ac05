-- +goose Up
-- Every context of n-grams of order n (n-1 tokens, the empty one included, which has no parent): who it is, so that two
-- contexts of one hash are found and any n-gram can be spelled out again, and the sums over its followers.
CREATE TABLE IF NOT EXISTS tbl_l1_context_registry (
  model_id        SMALLINT NOT NULL,
  n               TINYINT UNSIGNED NOT NULL,
  context_hash    BIGINT NOT NULL,
  parent_hash     BIGINT NULL,
  oldest_token_id INT NULL,
  a_total         BIGINT NOT NULL,
  n1              INT NOT NULL,
  n2              INT NOT NULL,
  n3              INT NOT NULL,
  PRIMARY KEY (model_id, n, context_hash)
) {{table_options}};

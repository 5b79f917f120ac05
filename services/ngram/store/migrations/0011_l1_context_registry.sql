-- +goose Up
-- Every context of n-grams of order n (n-1 tokens, the empty one included, which has no parent): who it is, so that two
-- contexts of one hash are found and any n-gram can be spelled out again; the sum of the adjusted counts of its followers,
-- and how many followers have the adjusted count 1, 2, and 3 or more (NULL is 0: most contexts have one follower).
CREATE TABLE IF NOT EXISTS tbl_l1_context_registry (
  model_id        SMALLINT NOT NULL,
  n               TINYINT UNSIGNED NOT NULL,
  context_hash    BIGINT NOT NULL,
  parent_hash     BIGINT NULL,
  oldest_token_id INT NULL,
  a_total         INT NOT NULL,
  n1              INT NULL,
  n2              INT NULL,
  n3              INT NULL,
  PRIMARY KEY (model_id, n, context_hash)
) {{table_options}};

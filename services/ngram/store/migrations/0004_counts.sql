-- +goose Up
-- Every n-gram of every order: c is how often it occurred (weights applied), a its adjusted count. a is NULL where it
-- is c by definition: at the highest order and behind <s>. INT, because 1.3 million rows a model pay for every byte; a
-- greater count is refused.
CREATE TABLE IF NOT EXISTS tbl_l1_ng_counts_n (
  model_id      SMALLINT NOT NULL,
  n             TINYINT UNSIGNED NOT NULL,
  context_hash  BIGINT NOT NULL,
  next_token_id INT NOT NULL,
  c             INT NOT NULL,
  a             INT NULL,
  PRIMARY KEY (model_id, n, context_hash, next_token_id)
) {{table_options}};

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

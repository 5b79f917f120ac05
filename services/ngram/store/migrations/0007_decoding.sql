-- +goose Up
-- model_id 0 stands for every model.
CREATE TABLE IF NOT EXISTS tbl_decode_hparams (
  model_id   SMALLINT NOT NULL,
  profile    VARCHAR(64) NOT NULL,
  parameters LONGTEXT NOT NULL,
  PRIMARY KEY (model_id, profile)
) {{table_options}};

CREATE TABLE IF NOT EXISTS tbl_decode_bans (
  model_id SMALLINT NOT NULL,
  ban      VARBINARY(256) NOT NULL,
  PRIMARY KEY (model_id, ban)
) {{table_options}};

CREATE TABLE IF NOT EXISTS tbl_token_normalization (
  model_id SMALLINT NOT NULL,
  source   VARBINARY(1024) NOT NULL,
  target   VARBINARY(1024) NOT NULL,
  PRIMARY KEY (model_id, source)
) {{table_options}};

-- Use of contexts, decayed; written in batches, apart from what training and builds write.
CREATE TABLE IF NOT EXISTS tbl_l1_context_hotness (
  model_id     SMALLINT NOT NULL,
  n            TINYINT UNSIGNED NOT NULL,
  context_hash BIGINT NOT NULL,
  hotness      DOUBLE NOT NULL,
  last_seen    BIGINT NOT NULL,
  PRIMARY KEY (model_id, n, context_hash)
) {{table_options}};

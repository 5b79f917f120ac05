-- +goose Up
-- Numbers that only grow: model_id, build_id, served_seq. A number is never given out twice, so caches keyed by one
-- never go stale.
CREATE TABLE IF NOT EXISTS tbl_l1_counters (
  name  VARCHAR(32) NOT NULL,
  value BIGINT NOT NULL,
  PRIMARY KEY (name)
) {{table_options}};

-- One row per generation of a model. A reset begins a new generation under the same name; the old one is retired when
-- a build of the new one is published, and its rows are then deleted in bounded batches.
CREATE TABLE IF NOT EXISTS tbl_l1_models (
  model_id             SMALLINT NOT NULL,
  tenant               VARCHAR(64) NOT NULL,
  name                 VARCHAR(128) NOT NULL,
  state                VARCHAR(16) NOT NULL,
  retired_at           BIGINT NULL,
  max_order            SMALLINT NOT NULL,
  tokenizer            VARCHAR(16) NOT NULL,
  tokenizer_parameters LONGTEXT NOT NULL,
  normalization        VARCHAR(16) NOT NULL,
  unk_policy           VARCHAR(16) NOT NULL,
  counts_version       BIGINT NOT NULL,
  vocabulary_size      BIGINT NOT NULL,
  documents            BIGINT NOT NULL,
  sentences            BIGINT NOT NULL,
  tokens               BIGINT NOT NULL,
  request_id           VARCHAR(128) NOT NULL,
  created_at           BIGINT NOT NULL,
  PRIMARY KEY (model_id)
) {{table_options}};

-- Totals of the counts of one order: what a build must find when it reads them.
CREATE TABLE IF NOT EXISTS tbl_l1_model_orders (
  model_id       SMALLINT NOT NULL,
  n              SMALLINT NOT NULL,
  ngrams         BIGINT NOT NULL,
  contexts       BIGINT NOT NULL,
  raw_total      BIGINT NOT NULL,
  adjusted_total BIGINT NOT NULL,
  PRIMARY KEY (model_id, n)
) {{table_options}};

-- A name points to the generation that is trained and to the build that serves, which may be of the generation before.
CREATE TABLE IF NOT EXISTS tbl_l1_model_names (
  tenant          VARCHAR(64) NOT NULL,
  name            VARCHAR(128) NOT NULL,
  model_id        SMALLINT NOT NULL,
  published_build BIGINT NULL,
  lease_owner     VARCHAR(256) NULL,
  lease_token     VARCHAR(36) NULL,
  lease_until     BIGINT NOT NULL,
  created_at      BIGINT NOT NULL,
  PRIMARY KEY (tenant, name),
  FOREIGN KEY (model_id) REFERENCES tbl_l1_models (model_id)
) {{table_options}};

-- +goose Up
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

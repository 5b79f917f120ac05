-- +goose Up
-- What a bot was at each of its versions: a row for every concept and template that a change touched. Of examples only the number is kept,
-- because utterances can be erased. content is JSON; an empty one says that it was deleted.
CREATE TABLE IF NOT EXISTS tbl_l3_history (
  tenant VARCHAR(64) NOT NULL,
  bot VARCHAR(128) NOT NULL,
  bot_version BIGINT NOT NULL,
  seq INT NOT NULL,
  concept_id VARCHAR(128) NOT NULL,
  what VARCHAR(320) NOT NULL,
  version INT NOT NULL,
  content LONGTEXT NOT NULL,
  changed_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, bot, bot_version, seq)
) {{table_options}};

-- +goose Up
-- How far the index of messages has been made anew for what this version of the index says about words; no row: not begun.
CREATE TABLE IF NOT EXISTS tbl_l2_reindexing (
  version         BIGINT NOT NULL,
  tenant          VARCHAR(64) NOT NULL,
  conversation_id VARCHAR(36) NOT NULL,
  seq             BIGINT NOT NULL,
  messages        BIGINT NOT NULL,
  finished        SMALLINT NOT NULL,
  PRIMARY KEY (version)
) {{table_options}};

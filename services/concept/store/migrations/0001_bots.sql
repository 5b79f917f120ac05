-- +goose Up
-- A bot is a named set of concepts. Its version grows with every change of its catalogue or examples, so that readers know
-- when what they remember is old. Built-in concepts are in the program; a row here overrides one.
CREATE TABLE IF NOT EXISTS tbl_l3_bots (
  tenant VARCHAR(64) NOT NULL,
  bot VARCHAR(128) NOT NULL,
  version BIGINT NOT NULL,
  PRIMARY KEY (tenant, bot)
) {{table_options}};

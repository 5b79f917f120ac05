-- +goose Up
-- How many active corrections of a scope are filed under a word of tbl_l2_correction_words; the empty word counts all of them.
CREATE TABLE IF NOT EXISTS tbl_l2_correction_word_counts (
  tenant      VARCHAR(64) NOT NULL,
  scope_key   VARCHAR(258) NOT NULL,
  word        VARCHAR(64) NOT NULL,
  corrections BIGINT NOT NULL,
  PRIMARY KEY (tenant, scope_key, word)
) {{table_options}};

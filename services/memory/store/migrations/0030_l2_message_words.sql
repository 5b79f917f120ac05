-- +goose Up
-- The inverted index of messages: at most 256 stemmed content words of each. A message's words follow from its content, so
-- there is no way back from a message to its words: who deletes a message computes them again.
CREATE TABLE IF NOT EXISTS tbl_l2_message_words (
  tenant     VARCHAR(64) NOT NULL,
  word       VARCHAR(64) NOT NULL,
  message_id VARCHAR(36) NOT NULL,
  PRIMARY KEY (tenant, word, message_id)
) {{table_options}};

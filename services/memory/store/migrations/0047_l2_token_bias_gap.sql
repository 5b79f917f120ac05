-- +goose Up
-- Words that may stand between pattern and then_text.
ALTER TABLE tbl_l2_token_bias ADD COLUMN gap_words BIGINT NOT NULL DEFAULT 0;

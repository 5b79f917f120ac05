-- +goose Up
-- 1 when pattern is an RE2 expression; its anchor is empty.
ALTER TABLE tbl_l2_token_bias ADD COLUMN is_regex SMALLINT NOT NULL DEFAULT 0;

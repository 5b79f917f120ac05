-- +goose Up
-- The content_end of the last removed message.
ALTER TABLE tbl_l2_conversations ADD COLUMN removed_bytes BIGINT NOT NULL DEFAULT 0;

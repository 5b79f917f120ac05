-- +goose Up
-- Messages that retention removed: those with seq 1 to removed_messages. The counts of messages stay what they were.
ALTER TABLE tbl_l2_conversations ADD COLUMN removed_messages BIGINT NOT NULL DEFAULT 0;

-- +goose Up
-- What one reply of a conversation carries on to the next. The gateway's business.
ALTER TABLE tbl_l2_conversations ADD COLUMN carried BLOB NULL;

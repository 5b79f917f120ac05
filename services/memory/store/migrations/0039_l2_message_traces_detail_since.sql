-- +goose Up
-- created_at while there is a detail: what has been thinned leaves the index by which thinning finds its next rows.
ALTER TABLE tbl_l2_message_traces ADD COLUMN detail_since BIGINT NULL;

-- +goose Up
-- What no replay needs of a trace, zstd-compressed like body; NULL for none, and after thinning (state thinned).
ALTER TABLE tbl_l2_message_traces ADD COLUMN detail LONGBLOB NULL;

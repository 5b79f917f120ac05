-- +goose Up
-- The counts_version of the model just before text under this label was first counted: builds of later versions saw it. NULL:
-- none of it is counted yet, or it was counted before this column was there and every build may have seen it.
ALTER TABLE tbl_corpus ADD COLUMN first_version BIGINT NULL;

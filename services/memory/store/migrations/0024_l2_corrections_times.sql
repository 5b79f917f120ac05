-- +goose Up
-- How often the same value was recorded for the subject without another one in between; NULL means once.
ALTER TABLE tbl_l2_correction_log ADD COLUMN times BIGINT NULL;

-- +goose Up
-- The person whose question the cue is.
ALTER TABLE tbl_l2_correction_log ADD COLUMN asked_by VARCHAR(256) NULL;

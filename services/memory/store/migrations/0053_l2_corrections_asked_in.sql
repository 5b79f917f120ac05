-- +goose Up
-- The conversation that the cue was asked in, until that is gone.
ALTER TABLE tbl_l2_correction_log ADD COLUMN asked_in VARCHAR(36) NULL;

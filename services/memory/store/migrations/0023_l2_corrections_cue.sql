-- +goose Up
-- The question that was answered wrongly, when the erring message is named: a later question like it matches.
ALTER TABLE tbl_l2_correction_log ADD COLUMN cue LONGTEXT NULL;

-- +goose Up
-- Where an imported or promoted correction came from; NULL for one that was recorded here.
ALTER TABLE tbl_l2_correction_log ADD COLUMN origin VARCHAR(256) NULL;

-- +goose Up
-- Who reviewed a promoted correction; NULL for others.
ALTER TABLE tbl_l2_correction_log ADD COLUMN reviewed_by VARCHAR(256) NULL;

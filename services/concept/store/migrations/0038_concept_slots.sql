-- +goose Up
-- Slots that are read from what a person says: a JSON list, NULL or empty for none.
ALTER TABLE tbl_l3_concept_repo ADD COLUMN slots LONGTEXT NULL;

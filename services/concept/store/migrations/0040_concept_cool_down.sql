-- +goose Up
-- Replies after one of its own in which prediction does not choose the concept.
ALTER TABLE tbl_l3_concept_repo ADD COLUMN cool_down INT NOT NULL DEFAULT 0;

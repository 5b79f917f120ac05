-- +goose Up
-- Before this time a signal does not speak; 0 for at once.
ALTER TABLE tbl_l3_concept_signals ADD COLUMN due_at BIGINT NOT NULL DEFAULT 0;

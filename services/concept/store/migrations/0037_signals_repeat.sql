-- +goose Up
-- After so many microseconds it is due again; 0 for once.
ALTER TABLE tbl_l3_concept_signals ADD COLUMN repeat_us BIGINT NOT NULL DEFAULT 0;

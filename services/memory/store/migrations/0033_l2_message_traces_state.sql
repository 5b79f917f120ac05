-- +goose Up
-- What is left of a trace: full, or forgotten when what level 1 wrote in it was removed.
ALTER TABLE tbl_l2_message_traces ADD COLUMN state VARCHAR(9) NOT NULL DEFAULT 'full';

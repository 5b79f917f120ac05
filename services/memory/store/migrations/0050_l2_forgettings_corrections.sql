-- +goose Up
-- Corrections that lost what they quoted of forgotten replies.
ALTER TABLE tbl_l2_forgettings ADD COLUMN corrections BIGINT NOT NULL DEFAULT 0;

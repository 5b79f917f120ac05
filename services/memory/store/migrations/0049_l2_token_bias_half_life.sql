-- +goose Up
-- Time in which the strength falls to its half, in microseconds; NULL for a strength that stays.
ALTER TABLE tbl_l2_token_bias ADD COLUMN half_life_us BIGINT NULL;

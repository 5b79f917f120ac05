-- +goose Up
-- Text that must follow pattern; NULL for none.
ALTER TABLE tbl_l2_token_bias ADD COLUMN then_text LONGTEXT NULL;

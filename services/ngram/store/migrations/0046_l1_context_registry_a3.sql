-- +goose Up
-- The part of a_total that followers with an adjusted count of 3 or more have; NULL where there are none, which is most contexts.
ALTER TABLE tbl_l1_context_registry ADD COLUMN a3 INT NULL;

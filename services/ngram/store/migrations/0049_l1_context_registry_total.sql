-- +goose Up
ALTER TABLE tbl_l1_context_registry ADD COLUMN a_total INT GENERATED ALWAYS AS (COALESCE(n1, 0) + 2 * COALESCE(n2, 0) + COALESCE(a3, 0)) VIRTUAL;

-- +goose Up
UPDATE tbl_l1_context_registry SET a3 = a_total - COALESCE(n1, 0) - 2 * COALESCE(n2, 0) WHERE n3 IS NOT NULL;

-- +goose Up
-- Segments spell their contexts out in tokens now; those with hashes are made anew by the next build, from the rows.
DELETE FROM tbl_l1_count_segments;

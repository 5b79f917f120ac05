-- +goose Up
-- 1 once the build is dropped: nobody finds it any more, and its rows are removed in batches.
ALTER TABLE tbl_l3_concept_builds ADD COLUMN dropped INT NOT NULL DEFAULT 0;

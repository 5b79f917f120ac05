-- +goose Up
-- Counts and probabilities belong to builds now; those of a bot are derived anew when it is first used.
DROP TABLE IF EXISTS tbl_l3_concept_counts_n;

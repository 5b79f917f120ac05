-- +goose Up
DROP TABLE IF EXISTS tbl_l3_concept_probs_n;

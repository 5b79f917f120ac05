-- +goose Up
DROP VIEW IF EXISTS tbl_l3_concept_probs;

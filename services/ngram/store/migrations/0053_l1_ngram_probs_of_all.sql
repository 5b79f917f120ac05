-- +goose Up
-- Mixed all models under one name; 0054 makes it anew.
DROP VIEW IF EXISTS tbl_l1_ngram_probs;

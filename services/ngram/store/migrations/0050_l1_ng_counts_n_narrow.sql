-- +goose Up
-- Token ids are below 2^24; the table has a row for every n-gram and pays for every byte.
{{mysql}}
ALTER TABLE tbl_l1_ng_counts_n MODIFY next_token_id MEDIUMINT UNSIGNED NOT NULL;
{{end}}
{{sqlite}}
SELECT 1;
{{end}}

-- +goose Up
-- As in tbl_l1_ng_counts_n.
{{mysql}}
ALTER TABLE tbl_l1_ng_probs_n MODIFY next_token_id MEDIUMINT UNSIGNED NOT NULL;
{{end}}
{{sqlite}}
SELECT 1;
{{end}}

-- +goose Up
-- a_total is computed from what is stored: n1 + 2 n2 + a3. Token ids are below 2^24, and so are numbers of followers; SQLite
-- stores small numbers in few bytes anyway.
{{mysql}}
ALTER TABLE tbl_l1_context_registry
  DROP COLUMN a_total,
  MODIFY oldest_token_id MEDIUMINT UNSIGNED NULL,
  MODIFY n1 MEDIUMINT UNSIGNED NULL,
  MODIFY n2 MEDIUMINT UNSIGNED NULL,
  MODIFY n3 MEDIUMINT UNSIGNED NULL;
{{end}}
{{sqlite}}
ALTER TABLE tbl_l1_context_registry DROP COLUMN a_total;
{{end}}
